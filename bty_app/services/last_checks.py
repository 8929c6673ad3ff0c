"""What the origin of each image said when it was last asked; forgotten at the next start."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import replace

from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.catalog_toml import MAX_IMAGES
from bty_app.services.catalog_checks import Checked
from bty_app.services.revisions import Revisions

TOPIC = frozenset({"checks"})


class LastChecks:
    """One result for each image. Any thread may call."""

    def __init__(self, revisions: Revisions) -> None:
        self._revisions = revisions
        self._lock = threading.Lock()
        self._results: OrderedDict[str, Checked] = OrderedDict()

    def note(self, checked: Checked) -> None:
        """Keep a result in place of the one before."""
        with self._lock:
            self._results[checked.entry.bty_image_ref] = checked
            self._results.move_to_end(checked.entry.bty_image_ref)
            if len(self._results) > MAX_IMAGES:
                self._results.popitem(last=False)
        self._revisions.bump(TOPIC)

    def of(self, entry: CatalogEntry) -> Checked | None:
        """The last result, held against the entry as it is now."""
        with self._lock:
            found = self._results.get(entry.bty_image_ref)
        return replace(found, entry=entry) if found else None

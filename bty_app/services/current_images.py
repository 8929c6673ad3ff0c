"""What an image is at this moment: a rolling source is resolved anew when a plan is made.

The digest in a plan is then the one that its source serves now. A registry or a cache that is
slow or dead costs a boot a bounded wait, once; the plan is made of what is stored instead.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from bty_app import logs
from bty_app.domain import image_events
from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.image_source import is_registry
from bty_app.domain.image_target import Cached, Target, is_rolling, target
from bty_app.domain.moments import stamp
from bty_app.errors import BtyError, ConflictError, StorageError
from bty_app.services.audit import record_if_possible
from bty_app.services.clock import Clock, utc_now
from bty_app.services.recent import Recent
from bty_app.store import catalog, events
from bty_app.store.database import Database, Tx

RESOLVED_SECONDS = 60.0
FAILED_SECONDS = 30.0
WAIT_SECONDS = 3.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Origin:
    """What the source of an image serves now; None where it does not say."""

    sha256: str
    size_bytes: int | None = None
    resolved_src: str | None = None
    format: str | None = None


Resolve = Callable[[CatalogEntry, float], Origin]
Look = Callable[[CatalogEntry], Cached]


class CurrentImages:
    """Targets of plans. Any thread may call."""

    def __init__(
        self,
        database: Database,
        resolve: Resolve,
        look: Look,
        *,
        clock: Clock = utc_now,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """`resolve` asks the source, within seconds; `look` asks the cache and never fails."""
        self._database = database
        self._resolve = resolve
        self._look = look
        self._clock = clock
        self._origins: Recent[Origin] = Recent(
            seconds=RESOLVED_SECONDS, failed_seconds=FAILED_SECONDS, steady=steady
        )
        self._lock = threading.Lock()
        self._failing: set[str] = set()

    def target(self, entry: CatalogEntry) -> Target:
        """What a plan says of the image now. Never fails."""
        current = self.refreshed(entry)
        return target(current, self._look(current))

    def refreshed(self, entry: CatalogEntry) -> CatalogEntry:
        """The entry as its source has it now; a change is stored, with its event."""
        if not is_rolling(entry):
            return entry
        try:
            # By what is stored as well: an operator's change of the entry counts at once.
            key = f"{entry.bty_image_ref} {entry.src} {entry.sha_url or ''}"
            origin = self._origins.get(key, lambda: self._resolve(entry, WAIT_SECONDS))
        except BtyError as error:
            self._failed(entry, error)
            return entry
        with self._lock:
            self._failing.discard(entry.bty_image_ref)
        current = _with(entry, origin)
        if current.disk_image_sha != entry.disk_image_sha:
            self._store(entry, current)
        return current

    def _store(self, entry: CatalogEntry, current: CatalogEntry) -> None:
        at = stamp(self._clock())

        def change(tx: Tx) -> None:
            if catalog.by_ref(tx, entry.bty_image_ref) != entry:
                return  # somebody was faster
            catalog.update(tx, current)
            events.record(tx, image_events.refreshed(entry, current), at=at)

        try:
            self._database.write(change)
        except (StorageError, ConflictError) as failure:  # it does not keep a machine from its plan
            logs.event(_log, logging.WARNING, "unwritten", image=entry.name, error=failure.message)

    def _failed(self, entry: CatalogEntry, error: BtyError) -> None:
        """An event when it begins to fail; the plans that follow say nothing more."""
        with self._lock:
            if entry.bty_image_ref in self._failing:
                return
            self._failing.add(entry.bty_image_ref)
        event = image_events.resolve_failed(entry, error)
        record_if_possible(self._database, event, at=stamp(self._clock()))


def _with(entry: CatalogEntry, origin: Origin) -> CatalogEntry:
    where = origin.resolved_src if is_registry(entry.src) else entry.resolved_src
    if origin.sha256 == entry.disk_image_sha:
        # A digest that the catalog declares says nothing of where the bytes are.
        is_known = where is None or where == entry.resolved_src
        return entry if is_known else replace(entry, resolved_src=where)
    return replace(
        entry,
        format=entry.format or origin.format,
        disk_image_sha=origin.sha256,
        size_bytes=origin.size_bytes,
        resolved_src=where,
    )

"""What every page must say: failures that nobody has acknowledged, and a database reset."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from bty_app.domain.events import Kind, Query, StoredEvent
from bty_app.errors import BtyError
from bty_app.services.audit import Audit
from bty_app.services.recover import Recover
from bty_app.services.revisions import Revisions
from bty_app.web.ui.shared import Shared


@dataclass(frozen=True, slots=True)
class Waiting:
    """Bindings that wait in the archive of a database reset."""

    archive: str
    bindings: int


@dataclass(frozen=True, slots=True)
class Alert:
    """How many failures are open, the reset among them that was not acknowledged, and why nothing
    can be changed, where that is so.
    """

    failures: int
    reset: StoredEvent | None
    refusal: str = ""
    waiting: Waiting | None = None


class Alerts:
    """The alert of the moment."""

    def __init__(
        self,
        audit: Audit,
        recover: Recover,
        revisions: Revisions,
        refusal: Callable[[], str] = lambda: "",
    ) -> None:
        self._audit = audit
        self._recover = recover
        self._refusal = refusal
        self._revisions = revisions
        self._shared: Shared[Alert] = Shared()
        self._counted: dict[str, int] = {}  # an archive does not change

    def current(self, *, exact: bool = False) -> Alert:
        """At most a second old, or as it is now."""
        return self._shared.get("", self._revisions.current("events"), self._read, exact=exact)

    def _read(self) -> Alert:
        resets = self._audit.listed(
            Query(kind=Kind.SCHEMA_RESET.value, open_failures=True, limit=1)
        )
        reset = resets[0] if resets else None
        return Alert(
            self._audit.open_failures(),
            reset,
            self._refusal(),
            self._waiting(reset) if reset else None,
        )

    def _waiting(self, reset: StoredEvent) -> Waiting | None:
        """What the archive holds, once nothing of it was carried over yet."""
        archive = str(json.loads(reset.details or "{}").get("archived_at", "")).rpartition("/")[2]
        done = Query(kind=Kind.STATE_RECOVERED.value, subject_id=archive, limit=1)
        if self._audit.listed(done):
            return None
        with suppress(BtyError):  # it is gone, or unreadable: there is nothing to offer
            bindings = self._counted.get(archive)
            if bindings is None:
                bindings = self._counted[archive] = self._recover.waiting(archive)
            return Waiting(archive, bindings) if bindings else None
        return None

"""What every page must say: failures that nobody has acknowledged, and a database reset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bty_app.domain.events import Kind, Query, StoredEvent
from bty_app.services.audit import Audit
from bty_app.services.revisions import Revisions
from bty_app.web.ui.shared import Shared


@dataclass(frozen=True, slots=True)
class Alert:
    """How many failures are open, the reset among them that was not acknowledged, and why nothing
    can be changed, where that is so.
    """

    failures: int
    reset: StoredEvent | None
    refusal: str = ""


class Alerts:
    """The alert of the moment."""

    def __init__(
        self, audit: Audit, revisions: Revisions, refusal: Callable[[], str] = lambda: ""
    ) -> None:
        self._audit = audit
        self._refusal = refusal
        self._revisions = revisions
        self._shared: Shared[Alert] = Shared()

    def current(self, *, exact: bool = False) -> Alert:
        """At most a second old, or as it is now."""
        return self._shared.get("", self._revisions.current("events"), self._read, exact=exact)

    def _read(self) -> Alert:
        resets = self._audit.listed(
            Query(kind=Kind.SCHEMA_RESET.value, open_failures=True, limit=1)
        )
        return Alert(self._audit.open_failures(), resets[0] if resets else None, self._refusal())

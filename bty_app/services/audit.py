"""Operators read the audit log, and say what they have seen."""

from __future__ import annotations

from bty_app.domain.events import Query, StoredEvent
from bty_app.errors import NotFoundError
from bty_app.store import events
from bty_app.store.database import Database


class Audit:
    """The audit log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def listed(self, query: Query) -> list[StoredEvent]:
        """Rows that match, newest first."""
        return self._database.read(lambda tx: events.listed(tx, query))

    def open_failures(self) -> int:
        """How many rows wait for an acknowledgement."""
        return self._database.read(events.open_failures)

    def acknowledge(self, event_id: int, *, acknowledged: bool = True) -> None:
        """Set or clear the mark of one row.

        Raises:
            NotFoundError: there is no such row.
        """
        if not self._database.write(
            lambda tx: events.acknowledge(tx, event_id, acknowledged=acknowledged)
        ):
            raise NotFoundError(f"no event {event_id}")

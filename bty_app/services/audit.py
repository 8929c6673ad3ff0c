"""Operators read the audit log, and say what they have seen."""

from __future__ import annotations

import logging
from datetime import datetime

from bty_app import logs
from bty_app.domain.events import Event, Kind, Query, StoredEvent
from bty_app.errors import ConflictError, NotFoundError, StorageError
from bty_app.services.clock import Clock
from bty_app.store import events
from bty_app.store.database import Database

_log = logging.getLogger(__name__)


def record_if_possible(database: Database, event: Event, *, at: str) -> None:
    """Record what stands beside another fact or failure: a full disk is no second failure."""
    try:
        database.write(lambda tx: events.record(tx, event, at=at))
    except (StorageError, ConflictError) as error:
        logs.event(_log, logging.WARNING, "unwritten", what=event.summary, error=error.message)


class Audit:
    """The audit log."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self.clock = clock

    def listed(self, query: Query) -> list[StoredEvent]:
        """Rows that match, newest first."""
        return self._database.read(lambda tx: events.listed(tx, query))

    def open_failures(self) -> int:
        """How many rows wait for an acknowledgement."""
        return self._database.read(events.open_failures)

    def has_any(self, *kinds: Kind) -> bool:
        """Whether there is a row of one of these kinds."""
        return self._database.read(lambda tx: events.has_any(tx, kinds))

    def flashes_by_hour(self, since: datetime) -> list[tuple[str, bool, int]]:
        """Since then: the hour, whether flashes failed, how many."""
        return self._database.read(lambda tx: events.flashes_by_hour(tx, since.isoformat()))

    def acknowledge(self, event_id: int, *, acknowledged: bool = True) -> None:
        """Set or clear the mark of one row.

        Raises:
            NotFoundError: there is no such row.
        """
        if not self._database.write(
            lambda tx: events.acknowledge(tx, event_id, acknowledged=acknowledged)
        ):
            raise NotFoundError(f"no event {event_id}")

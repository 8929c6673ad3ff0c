"""Operators read the audit log, and say what they have seen."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from bty_app import logs
from bty_app.domain.event_filters import Filters
from bty_app.domain.events import Event, Kind, Query, StoredEvent
from bty_app.errors import ConflictError, NotFoundError, StorageError
from bty_app.services.clock import Clock, utc_now
from bty_app.store import events
from bty_app.store.database import Database, Tx
from bty_app.store.events import Found

SEARCHED = 100_000  # rows of one look: some tenths of a second
EXPORTED_AT_ONCE = 2_000

_SAID_BY_THE_REQUEST = frozenset({Kind.PXE_OFFERED, Kind.PXE_PLAN})

_log = logging.getLogger(__name__)


def record_if_possible(database: Database, event: Event, *, at: str) -> None:
    """Record what stands beside another fact or failure: a full disk is no second failure."""
    try:
        database.write(lambda tx: events.record(tx, event, at=at))
    except (StorageError, ConflictError) as error:
        logs.event(_log, logging.WARNING, "unwritten", what=event.summary, error=error.message)


def log_events(told: Sequence[Event]) -> None:
    """One line for each event; what the line of its request says already is for debugging."""
    for event in told:
        level = logging.DEBUG if event.kind in _SAID_BY_THE_REQUEST else logging.INFO
        subject = event.subject.id if event.subject else None
        logs.event(
            _log, level, "event", kind=event.kind.value, subject=subject, summary=event.summary
        )


class Audit:
    """The audit log."""

    def __init__(self, database: Database, clock: Clock = utc_now) -> None:
        self._database = database
        self.clock = clock

    def listed(self, query: Query) -> list[StoredEvent]:
        """Rows that match, newest first."""
        return self._database.read(lambda tx: events.listed(tx, query))

    def search(self, filters: Filters, *, before: int | None, after: int = 0, limit: int) -> Found:
        """Rows that pass the filters between two ids, both left out, newest first; a search that
        takes long stops, and says so.

        Raises:
            ValidationError: a filter cannot be read.
        """
        query = replace(filters.query(self.clock()), before_id=before, after_id=after, limit=limit)
        return self._database.read(lambda tx: events.search(tx, query, span=SEARCHED))

    def export(self, filters: Filters) -> Iterator[StoredEvent]:
        """All rows that pass the filters and are there now, oldest first, read bit by bit.

        Raises:
            ValidationError: a filter cannot be read.
        """
        query = filters.query(self.clock())
        low, high = self._database.read(lambda tx: events.bounds(tx, query))
        return self._parts(query, low, high)

    def _parts(self, query: Query, low: int, high: int) -> Iterator[StoredEvent]:
        for begin in range(low, high + 1, EXPORTED_AT_ONCE):
            end = min(high, begin + EXPORTED_AT_ONCE - 1)
            yield from self._database.read(partial(_between, query, begin, end))

    def waiting(self, filters: Filters, *, up_to: int) -> int:
        """How many failures that pass the filters wait for an acknowledgement, up to this id."""
        query = filters.query(self.clock())
        return self._database.read(lambda tx: events.waiting(tx, query, up_to=up_to))

    def acknowledge_matching(self, filters: Filters, *, up_to: int) -> int:
        """Acknowledge those; return how many they were.

        Raises:
            ValidationError: a filter cannot be read.
        """
        query = filters.query(self.clock())
        return self._database.write(lambda tx: events.acknowledge_matching(tx, query, up_to=up_to))

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


def _between(query: Query, low: int, high: int, tx: Tx) -> list[StoredEvent]:
    return events.between(tx, query, low, high)

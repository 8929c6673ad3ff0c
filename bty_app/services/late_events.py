"""Facts of machines that could not be recorded when they happened wait here for room.

Threads: any may call. They are lost with the process; only what changes nothing else comes here,
for a machine's reports are refused while they cannot be recorded, and come again.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, replace

from bty_app.domain import audit_events
from bty_app.domain.events import Event
from bty_app.domain.moments import stamp
from bty_app.services.clock import Clock, utc_now
from bty_app.store import events
from bty_app.store.database import Database, Tx

WAITING = 1_000
BATCH = 100  # rows in one transaction: a machine that asks meanwhile waits behind no more


@dataclass(slots=True)
class Dropped:
    """Facts for which there was no room here either, since the last row that counts them."""

    count: int = 0
    first: str = ""
    last: str = ""
    why: str = ""


class LateEvents:
    """The first facts of an outage, up to a bound; those after them are counted."""

    def __init__(
        self, database: Database, clock: Clock = utc_now, *, waiting: int = WAITING
    ) -> None:
        self._database = database
        self._clock = clock
        self._most = waiting
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._waiting: deque[tuple[Event, str]] = deque()
        self._dropped = Dropped()

    def keep(self, event: Event, *, at: str, why: str) -> None:
        """This happened at `at` and could not be recorded, because of `why`."""
        with self._lock:
            if len(self._waiting) < self._most:
                self._waiting.append((event, at))
                return
            dropped = self._dropped
            dropped.count += 1
            dropped.first, dropped.last, dropped.why = dropped.first or at, at, why

    def counts(self) -> tuple[int, int]:
        """How many wait, and how many were dropped and are not yet told of."""
        with self._lock:
            return len(self._waiting), self._dropped.count

    def flush(self) -> int:
        """Record what waits; return how many rows that were.

        Raises:
            BtyError: the database did not take it; what it did not take goes on waiting.
        """
        written = 0
        with self._flushing:
            while batch := self._batch():
                self._database.write(lambda tx, rows=batch: self._record(tx, rows))  # type: ignore[misc]
                with self._lock:
                    for _row in batch:
                        self._waiting.popleft()
                written += len(batch)
            return written + self._tell_of_the_dropped()

    def _batch(self) -> list[tuple[Event, str]]:
        with self._lock:
            return [self._waiting[n] for n in range(min(BATCH, len(self._waiting)))]

    def _record(self, tx: Tx, rows: list[tuple[Event, str]]) -> None:
        at = stamp(self._clock())
        for event, happened_at in rows:
            summary = f"{event.summary} (at {happened_at}, and could not be recorded then)"
            details = {**(event.details or {}), "happened_at": happened_at}
            events.record(tx, replace(event, summary=summary, details=details), at=at)

    def _tell_of_the_dropped(self) -> int:
        with self._lock:
            told = replace(self._dropped)
        if not told.count:
            return 0
        event = audit_events.dropped(told.count, told.first, told.last, told.why)
        self._database.write(lambda tx: events.record(tx, event, at=stamp(self._clock())))
        with self._lock:
            self._dropped.count -= told.count
            self._dropped.first = self._dropped.last if self._dropped.count else ""
        return 1

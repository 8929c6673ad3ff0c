"""Events are removed by age where the operator says so (SPEC 12): by whole days, in small steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from bty_app.domain import event_trimming
from bty_app.domain.moments import stamp
from bty_app.services.clock import Clock, utc_now
from bty_app.services.settings import Settings
from bty_app.store import events
from bty_app.store.database import Database, Tx

HOLD_SECONDS = 3600.0  # in which a clock that is wrong at the start is set right
DRIFT_SECONDS = 600.0
AT_ONCE = 5_000  # rows of a transaction, so that machines need not wait for it


class EventTrimming:
    """One step for each turn. Any thread may call; one at a time does the work."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        clock: Clock = utc_now,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._steady = steady
        self._trusted_since: tuple[datetime, float] | None = None

    def turn(self) -> int:
        """Remove what is too old, as far as one step goes; return how many rows that were.

        Raises:
            StorageError: the disk refused; nothing was removed.
        """
        days = self._settings.events_keep_days()
        if not days:
            return 0
        now = self._clock()
        if not self._is_trusted(now):
            return 0
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        before = stamp(today - timedelta(days=days))
        oldest = self._database.read(events.oldest_ts)
        if oldest is None or oldest >= before:
            return 0
        return self._database.write(lambda tx: _trimmed(tx, before, days, at=stamp(now)))

    def _is_trusted(self, now: datetime) -> bool:
        """Whether the clock has run on evenly for a while: a wrong one makes everything old."""
        steady = self._steady()
        if self._trusted_since is not None:
            wall, since = self._trusted_since
            if abs((now - wall).total_seconds() - (steady - since)) <= DRIFT_SECONDS:
                return steady - since >= HOLD_SECONDS
        self._trusted_since = (now, steady)
        return False


def _trimmed(tx: Tx, before: str, days: int, *, at: str) -> int:
    removed = events.trim(tx, before=before, limit=AT_ONCE)
    if removed is None:
        return 0
    events.record(tx, event_trimming.trimmed(*removed, days), at=at)
    return removed[1]

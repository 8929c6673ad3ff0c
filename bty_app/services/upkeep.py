"""What SQLite asks of a program that runs for months."""

from __future__ import annotations

import time
from collections.abc import Callable

from bty_app.store import statistics
from bty_app.store.database import Database

EVERY_SECONDS = 24 * 3600.0


class Upkeep:
    """Statistics of the tables, brought up to date once a day. One thread calls."""

    def __init__(self, database: Database, steady: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._steady = steady
        self._last = steady()

    def turn(self) -> bool:
        """Do it where a day has passed; whether it was done.

        Raises:
            StorageError: the disk refused; it is tried again at the next turn.
        """
        now = self._steady()
        if now - self._last < EVERY_SECONDS:
            return False
        self._database.write(statistics.renew)
        self._last = now
        return True

"""The system's clock, which a bare machine may have years in the past (CONTRACT 5.7)."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from bty_app import logs

TOLERATED_SECONDS = 60.0
HWCLOCK = ("hwclock", "--systohc", "--utc")

_log = logging.getLogger(__name__)


def correct_time(date: str, now: float) -> float | None:
    """The time to set, when a `Date` header says that `now` is over a minute behind.

    Never earlier than `now`: certificates, logs and timers do not bear a clock that goes back.
    """
    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    with contextlib.suppress(OverflowError, ValueError):
        told = moment.timestamp()
        return told if told - now > TOLERATED_SECONDS else None
    return None


class ClockSetter:
    """Steps the clock forward by what a server's answers say."""

    def __init__(
        self,
        *,
        now: Callable[[], float] = time.time,
        set_clock: Callable[[float], None] | None = None,
    ) -> None:
        self._now = now
        self._set = set_clock or _set_system_clock

    def __call__(self, date: str) -> None:
        """Take note of a `Date` header."""
        time_to_set = correct_time(date, self._now())
        if time_to_set is None:
            return
        try:
            self._set(time_to_set)
        except OSError as error:  # without the right to: flashing works with a wrong clock too
            logs.event(_log, logging.WARNING, "clock", error=str(error))
        else:
            at = datetime.fromtimestamp(time_to_set, UTC).isoformat(timespec="seconds")
            logs.event(_log, logging.WARNING, "clock", set_to=at)


def _set_system_clock(seconds: float) -> None:
    time.clock_settime(time.CLOCK_REALTIME, seconds)
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):  # a machine may have none
        subprocess.run(HWCLOCK, check=False, capture_output=True, timeout=15)  # noqa: S603 - ours

"""Where the time comes from: services take a clock, tests give them one."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]
Up = Callable[[], timedelta]


def utc_now() -> datetime:
    """The present moment, in UTC."""
    return datetime.now(UTC)


def host_up() -> timedelta:
    """How long this host has been up, whatever its clock was set to meanwhile."""
    return timedelta(seconds=time.clock_gettime(time.CLOCK_BOOTTIME))

"""When a backup is due: slots on the calendar of a named zone, not time that has passed.

A slot is the moment at which a backup should have been taken. A backup is due while the last good
one is older than the latest slot, so a server that was down catches up with one run, and neither a
late run nor daylight saving moves the next one (STATE-SAFETY 3.6).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from zoneinfo import ZoneInfo

FIRST_PAUSE = timedelta(minutes=5)
LONGEST_PAUSE = timedelta(hours=6)
CLOCK_SLACK = timedelta(minutes=10)
_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)
_LONGEST_GAP = 2 * 24 * 60  # minutes; a zone that changes sides of the date line skips a day


class Cadence(StrEnum):
    """How often."""

    MANUAL = "manual"
    DAILY = "daily"
    WEEKLY = "weekly"

    @property
    def length(self) -> timedelta | None:
        """The usual time between two slots."""
        return {"daily": _DAY, "weekly": 7 * _DAY}.get(self.value)


WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True, slots=True)
class Schedule:
    """`at` is a local time in `zone`; `weekday`, 0 for Monday, counts for a weekly one only."""

    cadence: Cadence = Cadence.MANUAL
    at: time = time(3, 0)
    weekday: int = 6
    zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Past:
    """What scheduled runs did: when the last good one began, and those that failed since."""

    success: datetime | None = None
    failure: datetime | None = None
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Due:
    """Whether to run one now, and why. `clock_is_odd`: nothing must be pruned on the word of it."""

    run: bool
    reason: str
    clock_is_odd: bool = False


def zone_of(name: str) -> tzinfo:
    """The zone of this IANA name.

    Raises:
        ValueError: there is none.
    """
    if name == "UTC":  # known also where no zones are installed
        return UTC
    if len(name) > 64 or not name.isascii() or not name.isprintable():
        raise ValueError("the name of a time zone, such as Europe/Berlin")
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError("the name of a time zone, such as Europe/Berlin") from error


def slot_on(day: date, schedule: Schedule) -> datetime:
    """The slot of a local day, in UTC.

    A local time that the clocks skip is the first moment after the gap; one that occurs twice is
    the first of the two.
    """
    zone = zone_of(schedule.zone)
    local = datetime.combine(day, schedule.at)
    for _ in range(_LONGEST_GAP):
        found = local.replace(tzinfo=zone).astimezone(UTC)
        if found.astimezone(zone).replace(tzinfo=None) == local:
            break
        local += _MINUTE
    return local.replace(tzinfo=zone).astimezone(UTC)


def latest_slot(schedule: Schedule, now: datetime) -> datetime | None:
    """The last slot that is not after `now`; None where nothing is scheduled."""
    return _nearest(schedule, now, -1)


def next_slot(schedule: Schedule, now: datetime) -> datetime | None:
    """The first slot after `now`; None where nothing is scheduled."""
    return _nearest(schedule, now, +1)


def _nearest(schedule: Schedule, now: datetime, step: int) -> datetime | None:
    if schedule.cadence is Cadence.MANUAL:
        return None
    today = now.astimezone(zone_of(schedule.zone)).date()
    for away in range(-2, 10):  # a local day may be up to two away from that of its slot
        day = today + step * away * _DAY
        if schedule.cadence is Cadence.WEEKLY and day.weekday() != schedule.weekday:
            continue
        slot = slot_on(day, schedule)
        if (slot > now) == (step > 0):
            return slot
    return None


def pause_after(failures: int) -> timedelta:
    """How long to wait after this many failures in a row: 5 minutes, doubled, up to 6 hours."""
    if failures < 1:
        return timedelta(0)
    return min(FIRST_PAUSE * (1 << min(failures - 1, 10)), LONGEST_PAUSE)


def due(schedule: Schedule, past: Past, now: datetime) -> Due:
    """Whether a scheduled backup is to be taken now."""
    slot = latest_slot(schedule, now)
    if slot is None:
        return Due(False, "nothing is scheduled")
    wanted = _wanted(slot, past, now)
    if wanted.run and past.failures and past.failure is not None:
        again = past.failure + pause_after(past.failures)
        # A failure that is yet to come is the word of a wrong clock: it holds nothing up.
        if now < again and past.failure <= now + CLOCK_SLACK:
            return Due(False, "the last try failed: it is tried again after a pause")
    return wanted


def _wanted(slot: datetime, past: Past, now: datetime) -> Due:
    if past.success is None:
        return Due(True, "none was taken yet")
    if past.success > now + CLOCK_SLACK:
        return Due(True, "the clock went back", clock_is_odd=True)
    if past.success < slot:
        return Due(True, "its time has come")
    return Due(False, "the one of this time is taken")


def next_try(schedule: Schedule, past: Past, now: datetime) -> datetime | None:
    """When the next scheduled backup begins, as far as one can tell; None where none does."""
    if schedule.cadence is Cadence.MANUAL:
        return None
    if due(schedule, past, now).run:
        return now
    slot = latest_slot(schedule, now)
    if slot is not None and past.failure is not None and _wanted(slot, past, now).run:
        return past.failure + pause_after(past.failures)
    return next_slot(schedule, now)


def overdue_since(
    schedule: Schedule, newest: datetime | None, begun: datetime | None, now: datetime
) -> timedelta | None:
    """By how much the newest good backup is too old; None while it is not.

    Args:
        schedule: what is wanted.
        newest: when the newest good backup was taken, by whomever.
        begun: since when this is wanted, where there is no backup at all.
        now: the moment.
    """
    length = schedule.cadence.length
    since = newest or begun
    if length is None or since is None:
        return None
    late = now - since - length * 3 / 2
    return late if late > timedelta(0) else None

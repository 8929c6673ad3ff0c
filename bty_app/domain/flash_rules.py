"""The rules of a site that bound flashes: never these, no more than so many an hour, only then.

`holding` reads facts and never a clock. Each rule is off until it is set (SPEC 6, blast radius).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from enum import Enum

WINDOW_SECONDS = 3600
POLL_SECONDS = 60
MAX_POLL_SECONDS = 300
_HOURS = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)


class Rule(Enum):
    """Which rule holds a flash back, spelled as its reason; the first of them that does is told."""

    LABEL = "protected-label"
    EXPIRED = "order-expired"
    HOURS = "out-of-hours"
    HOURLY = "hourly-limit"
    ARCHITECTURE = "wrong-architecture"


@dataclass(frozen=True, slots=True)
class Hold:
    """A rule that holds, in words; `until` is when it ends, where that is known.

    A machine that waits for it asks again after `seconds`.
    """

    rule: Rule
    words: str
    until: str | None = None
    seconds: int = POLL_SECONDS


@dataclass(frozen=True, slots=True)
class Hours:
    """The hours of a day in which flashes may begin; they may go over midnight."""

    begin: time
    end: time

    def has(self, local: time) -> bool:
        """Whether `local` is one of them."""
        if self.begin <= self.end:
            return self.begin <= local < self.end
        return local >= self.begin or local < self.end


@dataclass(frozen=True, slots=True)
class Rules:
    """What is set. `per_hour` and `expires_hours` are 0 where they bound nothing."""

    per_hour: int = 0
    hours: Hours | None = None
    zone: tzinfo = UTC
    never_labels: frozenset[str] = frozenset()
    expires_hours: int = 0


NO_RULES = Rules()


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules look at: one machine, and what began within the last hour.

    `began` are the moments of all other attempts of that hour, the oldest first; `has_slot` says
    that this attempt was counted already. `expires_at` bounds this one order.
    """

    at: datetime
    labels: Collection[str] = ()
    armed_at: datetime | None = None
    expires_at: datetime | None = None
    is_retry: bool = False
    began: tuple[datetime, ...] = ()
    has_slot: bool = False


def holding(rules: Rules, facts: Facts) -> Hold | None:
    """The first rule that keeps a flash from beginning at `facts.at`, or None."""
    never = sorted(rules.never_labels & set(facts.labels))
    if never:
        return Hold(Rule.LABEL, f"machines with the label {never[0]} are never flashed")
    expired = _expired(rules, facts)
    if expired is not None:
        moment = f"{expired.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        return Hold(Rule.EXPIRED, f"its order expired at {moment}: order it again")
    if rules.hours is not None and not rules.hours.has(_local(rules, facts.at)):
        opens = _opens(rules.hours, rules.zone, facts.at)
        left = int((opens - facts.at).total_seconds()) + 1
        hours = f"{rules.hours.begin:%H:%M} and {rules.hours.end:%H:%M}"
        return Hold(
            Rule.HOURS,
            f"flashes begin between {hours} only",
            opens.astimezone(UTC).isoformat(timespec="seconds"),
            max(1, min(left, MAX_POLL_SECONDS)),
        )
    if rules.per_hour and not facts.has_slot and len(facts.began) >= rules.per_hour:
        # One is free again once so many of the oldest are an hour ago that fewer than N are left.
        free = facts.began[len(facts.began) - rules.per_hour] + timedelta(seconds=WINDOW_SECONDS)
        left = int((free - facts.at).total_seconds()) + 1
        return Hold(
            Rule.HOURLY,
            f"{rules.per_hour} flashes have begun within the last hour, which is the limit",
            free.astimezone(UTC).isoformat(timespec="seconds"),
            max(1, min(left, POLL_SECONDS)),
        )
    return None


def parse_hours(text: str) -> Hours:
    """`22:00-06:00`.

    Raises:
        ValueError: it is not two times of a day, or the same one twice.
    """
    found = _HOURS.fullmatch(text.strip())
    if not found or (found[1], found[2]) == (found[3], found[4]):
        raise ValueError("two times of a day, such as 22:00-06:00")
    return Hours(time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4])))


def ends_at(
    rules: Rules, armed_at: datetime | None, expires_at: datetime | None
) -> datetime | None:
    """Until when an order counts that was given at `armed_at`; `expires_at` is its own bound."""
    ends = [expires_at] if expires_at else []
    if rules.expires_hours and armed_at:
        ends.append(armed_at + timedelta(hours=rules.expires_hours))
    return min(ends) if ends else None


def _expired(rules: Rules, facts: Facts) -> datetime | None:
    """When the order expired, if it has; a flash that was begun is tried again."""
    ends = None if facts.is_retry else ends_at(rules, facts.armed_at, facts.expires_at)
    return ends if ends and ends <= facts.at else None


def _local(rules: Rules, now: datetime) -> time:
    return now.astimezone(rules.zone).time().replace(tzinfo=None)


def _opens(hours: Hours, zone: tzinfo, now: datetime) -> datetime:
    """The next moment at which the clock on the wall says `hours.begin`."""
    day = now.astimezone(zone).date()
    for ahead in range(3):
        wall = datetime.combine(day + timedelta(days=ahead), hours.begin, zone)
        if wall.astimezone(UTC) > now:
            return wall.astimezone(UTC)
    return now + timedelta(days=1)

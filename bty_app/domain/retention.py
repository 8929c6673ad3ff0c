"""Which backups go and which stay, with the reason for each: decided before anything is removed.

What is never removed (STATE-SAFETY 3.7): the newest backup that was proven, what is pinned, what is
dated in the future, what is not sound, and whatever this server did not write by itself. What it
took before an upgrade or a restore stays for a month, and the newest of these as long as they are.
Where the newest knows of less than half of the machines that an older one does, the newest such one
stays: an empty fleet pushes no full one out, until somebody removes that by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

SAFETY_COUNT = 3
SAFETY_AGE = timedelta(days=30)
NOT_OURS = "not taken on this server's schedule: you remove it"
PINNED = "pinned"
FUTURE = "dated in the future: not counted"
UNSOUND = "not sound: not counted, and kept to be looked at"
NEWEST_PROVEN = "the newest that is proven"
TOO_OLD = "older than what is kept"


@dataclass(frozen=True, slots=True)
class Kept:
    """A backup as retention sees it. `scheduled`: this server wrote it, on schedule; `sound`:
    nothing is known to be wrong with it; `proven`: it was read back and checked; `before`: what
    this server took it before, such as "an upgrade"; `machines`: how many it knows of, if it says.
    """

    id: str
    taken_at: datetime
    scheduled: bool = True
    sound: bool = True
    proven: bool = True
    pinned: bool = False
    before: str = ""
    machines: int | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """Keep the newest `count`, at least one; and of older ones the newest of as many days, weeks
    and months as these say.
    """

    count: int = 7
    daily: int = 0
    weekly: int = 0
    monthly: int = 0


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a backup, and why."""

    item: Kept
    stays: bool
    reason: str


_PERIODS: tuple[tuple[str, Callable[[datetime], tuple[int, ...]]], ...] = (
    ("day", lambda at: (at.year, at.month, at.day)),
    ("week", lambda at: tuple(at.isocalendar()[:2])),
    ("month", lambda at: (at.year, at.month)),
)


def plan(items: Iterable[Kept], policy: Policy, now: datetime) -> tuple[Fate, ...]:
    """What becomes of each backup, the newest first."""
    ordered = sorted(items, key=lambda item: (item.taken_at, item.id), reverse=True)
    exempt = {item.id: reason for item in ordered if (reason := _exempt(item, now))}
    counted = [item for item in ordered if item.id not in exempt]
    reasons = exempt | _wanted([item for item in counted if not item.before], policy)
    for before in {item.before for item in counted if item.before}:
        reasons |= _safety([item for item in counted if item.before == before], before, now)
    proven = next((item for item in ordered if _proves(item, now)), None)
    if proven is not None:
        reasons.setdefault(proven.id, NEWEST_PROVEN)
    larger = _larger([item for item in ordered if _counts(item, now)])
    if larger is not None:
        reasons.setdefault(larger.id, f"knows {larger.machines:,} machines, the newest far fewer")
    return tuple(Fate(item, item.id in reasons, reasons.get(item.id, TOO_OLD)) for item in ordered)


def _exempt(item: Kept, now: datetime) -> str | None:
    """Why retention has no say over this one, if it has none."""
    if not item.scheduled and not item.before:
        return NOT_OURS
    if item.pinned:
        return PINNED
    if item.taken_at > now:
        return FUTURE
    return None if item.sound else UNSOUND


def _proves(item: Kept, now: datetime) -> bool:
    return item.proven and item.sound and item.taken_at <= now


def _counts(item: Kept, now: datetime) -> bool:
    return item.sound and item.taken_at <= now and item.machines is not None


def _larger(newest_first: list[Kept]) -> Kept | None:
    """The newest that knows of more than twice as many machines as the newest of all."""
    known = [(item.machines or 0, item) for item in newest_first]
    return next((item for machines, item in known if machines > 2 * known[0][0]), None)


def _safety(newest_first: list[Kept], before: str, now: datetime) -> dict[str, str]:
    """The reasons to keep those that were taken before something of this kind."""
    young = {
        item.id: f"taken before {before} less than {SAFETY_AGE.days} days ago"
        for item in newest_first
        if item.taken_at > now - SAFETY_AGE
    }
    newest = {
        item.id: f"one of the newest {SAFETY_COUNT} from before {before}"
        for item in newest_first[:SAFETY_COUNT]
    }
    return young | newest


def _wanted(newest_first: list[Kept], policy: Policy) -> dict[str, str]:
    """The reasons to keep those that the policy wants."""
    count = max(1, policy.count)
    reasons = {item.id: f"one of the newest {count}" for item in newest_first[:count]}
    limits = (policy.daily, policy.weekly, policy.monthly)
    for (word, period), limit in zip(_PERIODS, limits, strict=True):
        seen: set[tuple[int, ...]] = set()
        for item in newest_first:
            key = period(item.taken_at.astimezone(UTC))
            if key in seen:
                continue
            if len(seen) == max(0, limit):
                break
            seen.add(key)
            reasons.setdefault(item.id, f"the newest of its {word}")
    return reasons

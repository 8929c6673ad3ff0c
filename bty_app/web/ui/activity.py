"""What happened in the last day, hour by hour, as bars of a drawing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

HOURS = 24
BAR_HEIGHT = 60


@dataclass(frozen=True, slots=True)
class Bar:
    """An hour: heights are in units of the drawing, from its floor; failures stand on top."""

    at: datetime
    flashed: int
    failed: int
    flashed_height: int
    failed_height: int


@dataclass(frozen=True, slots=True)
class Activity:
    """The last day: `most` is what the highest bar counts."""

    bars: tuple[Bar, ...]
    flashed: int
    failed: int
    most: int


def activity(counts: Iterable[tuple[str, bool, int]], now: datetime) -> Activity:
    """Of rows (hour such as "2026-01-31T17", whether it failed, how many), the day until `now`."""
    flashed: dict[str, int] = {}
    failed: dict[str, int] = {}
    for hour, is_failure, count in counts:
        of = failed if is_failure else flashed
        of[hour] = of.get(hour, 0) + count
    first = since(now)
    hours = [first + timedelta(hours=number) for number in range(HOURS)]
    keys = [f"{hour:%Y-%m-%dT%H}" for hour in hours]
    most = max((flashed.get(key, 0) + failed.get(key, 0) for key in keys), default=0)
    bars = tuple(
        Bar(
            hour,
            flashed.get(key, 0),
            failed.get(key, 0),
            _height(flashed.get(key, 0), most),
            _height(failed.get(key, 0), most),
        )
        for hour, key in zip(hours, keys, strict=True)
    )
    return Activity(bars, sum(bar.flashed for bar in bars), sum(bar.failed for bar in bars), most)


def since(now: datetime) -> datetime:
    """When the first of the hours began."""
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    return this_hour - timedelta(hours=HOURS - 1)


def _height(count: int, most: int) -> int:
    """What is there at all is seen."""
    return max(2, round(BAR_HEIGHT * count / most)) if count else 0

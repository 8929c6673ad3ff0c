"""Clocks that jump, and days that are odd: how many backups there are, and which go
(STATE-SAFETY 3.0 e9, 3.11). The real schedule over a real shelf, its clock turned by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bty_app.domain.backup_alarm import Alarm
from tests.services.test_backup_schedule import Watch, changes
from tests.services.test_backups import site_at


@pytest.fixture
def watch(quick_dir: Path) -> Iterator[Watch]:
    """A server with a machine, up for long, which has a good backup of each of ten days."""
    with site_at(quick_dir) as site:
        made = Watch(site)
        site.set(retention_count="7", keep_daily="0", keep_weekly="0", keep_monthly="0")
        site.up = timedelta(days=100)
        for _ in range(10):
            changes(made)
            made.turn(days=1)
        assert made.made() == 10
        yield made


def run(watch: Watch, until: timedelta, *, step: timedelta = timedelta(minutes=37)) -> int:
    """Let time pass, with something that changes; how many backups were made."""
    before, end = watch.made(), watch.site.moment + until
    while watch.site.moment < end:
        changes(watch)
        watch.turn(seconds=step.total_seconds())
    return watch.made() - before


def test_a_clock_four_hundred_days_ahead_for_two_hours_costs_no_backup(watch: Watch) -> None:
    right, before = watch.site.moment, set(watch.site.shelf.ids())
    watch.site.moment = right + timedelta(days=400)
    ahead = run(watch, timedelta(hours=2))
    of_then = set(watch.site.shelf.ids()) - before
    watch.site.moment = right + timedelta(hours=2)
    watch.turn()
    back = watch.made()

    assert ahead == 1, "one that it believed to be due"
    assert len(before - set(watch.site.shelf.ids())) <= 1
    assert run(watch, timedelta(days=3)) == 3, "then as before"
    assert of_then <= set(watch.site.shelf.ids()), "dated in the future: it is not counted"
    assert watch.made() - back == 3
    assert watch.schedule.standing().alarm is Alarm.NONE


@pytest.mark.parametrize("days", [3, 30, 400])
def test_a_clock_that_is_set_back_means_one_backup_and_none_goes(watch: Watch, days: int) -> None:
    before = set(watch.site.shelf.ids())
    watch.site.moment -= timedelta(days=days)
    first = run(watch, timedelta(hours=1))

    assert first == 1
    assert before <= set(watch.site.shelf.ids())
    assert run(watch, timedelta(days=2)) == 2, "and then as before"
    still_future = {name for name in before if name > f"{watch.site.moment:%Y-%m-%dT%H-%M-%SZ}"}
    assert still_future <= set(watch.site.shelf.ids()), "what is dated in the future stays"
    assert days < 30 or still_future == before


def test_a_host_that_starts_in_1971_waits_for_its_clock(watch: Watch) -> None:
    right, before = watch.site.moment, set(watch.site.shelf.ids())
    watch.site.moment, watch.site.up = datetime(1971, 1, 1, tzinfo=UTC), timedelta()
    assert run(watch, timedelta(minutes=50)) == 0
    watch.site.moment = right + timedelta(days=1)

    assert run(watch, timedelta(hours=1)) == 1
    assert run(watch, timedelta(days=3)) == 3
    assert len(before & set(watch.site.shelf.ids())) >= 3


@pytest.mark.parametrize(
    ("name", "begin", "days"),
    [
        ("an hour is left out", "2026-03-27T12:00", 4),
        ("an hour comes twice", "2026-10-23T12:00", 4),
        ("a leap day", "2028-02-27T12:00", 4),
        ("no leap day", "2027-02-27T12:00", 3),
        ("a new year", "2026-12-30T12:00", 4),
    ],
)
def test_each_local_day_has_one_backup(quick_dir: Path, name: str, begin: str, days: int) -> None:
    with site_at(quick_dir) as site:
        made = Watch(site)
        site.moment = datetime.fromisoformat(begin).replace(tzinfo=UTC)
        site.up = timedelta(days=100)
        site.set(at="02:30", zone="Europe/Berlin")
        made.turn()

        assert run(made, timedelta(days=days)) == days, name

"""When a backup is due: over years of ticks, zones, failures and clocks that jump."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain import schedule as module
from bty_app.domain.schedule import (
    WEEKDAYS,
    Cadence,
    Past,
    Schedule,
    due,
    latest_slot,
    next_slot,
    next_try,
    overdue_since,
    pause_after,
    slot_on,
    zone_of,
)

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Pacific/Apia", "Australia/Lord_Howe")
schedules = st.builds(
    Schedule,
    cadence=st.sampled_from([Cadence.DAILY, Cadence.WEEKLY]),
    at=st.times().map(lambda t: t.replace(second=0, microsecond=0)),
    weekday=st.integers(0, 6),
    zone=st.sampled_from(ZONES),
)
moments = st.integers(0, 66 * 365 * 24 * 60).map(
    lambda minutes: datetime(1971, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)
BERLIN = Schedule(Cadence.DAILY, time(2, 30), zone="Europe/Berlin")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_local_time_that_is_skipped_is_the_first_moment_after_the_gap() -> None:
    assert slot_on(date(2026, 3, 29), BERLIN) == at("2026-03-29T01:00")  # 03:00 in summer time


def test_a_local_time_that_occurs_twice_is_the_first_of_the_two() -> None:
    assert slot_on(date(2026, 10, 25), BERLIN) == at("2026-10-25T00:30")


def test_a_day_that_a_zone_leaves_out_has_its_slot_at_the_beginning_of_the_next() -> None:
    apia = Schedule(Cadence.DAILY, time(3), zone="Pacific/Apia")

    assert slot_on(date(2011, 12, 30), apia) == at("2011-12-30T10:00")  # the 31st, 00:00 there


@given(schedules, moments)
def test_now_is_between_the_latest_slot_and_the_next(schedule: Schedule, now: datetime) -> None:
    before, after = latest_slot(schedule, now), next_slot(schedule, now)

    assert before is not None
    assert after is not None
    assert before <= now < after
    length = schedule.cadence.length
    assert length is not None
    assert timedelta(0) < after - before <= length + timedelta(days=1, hours=2)
    assert latest_slot(schedule, after) == after
    assert next_slot(schedule, before) == after


@given(schedules, moments)
def test_a_weekly_slot_is_on_its_day_there(schedule: Schedule, now: datetime) -> None:
    slot = next_slot(schedule, now)

    assert slot is not None
    local = slot.astimezone(zone_of(schedule.zone))
    if schedule.cadence is Cadence.WEEKLY and schedule.zone != "Pacific/Apia":
        # A gap at midnight carries it into the next day.
        assert local.weekday() in {schedule.weekday, (schedule.weekday + 1) % 7}


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("clock", [time(0, 0), time(2, 30), time(23, 59)])
def test_in_a_year_of_ticks_each_local_day_has_one_run(zone: str, clock: time) -> None:
    schedule, tick = Schedule(Cadence.DAILY, clock, zone=zone), timedelta(minutes=31)
    now = at("2026-01-01T12:00")
    past, slots = Past(success=now), []

    while now < at("2027-01-01T12:00"):
        now += tick
        if due(schedule, past, now).run:
            past = Past(success=now)
            slot = latest_slot(schedule, now)
            assert slot is not None
            assert now - slot <= tick  # it never drifts
            slots.append(slot)

    assert len(slots) == len(set(slots)) == 365


@given(schedules, moments, st.integers(1, 400))
def test_after_any_time_down_one_run_catches_up(
    schedule: Schedule, success: datetime, days: int
) -> None:
    now = success + timedelta(days=days)
    first = due(schedule, Past(success=success), now)

    assert first.run == (latest_slot(schedule, now) > success)  # type: ignore[operator]
    assert not due(schedule, Past(success=now), now).run
    assert not due(schedule, Past(success=now), now + timedelta(seconds=1)).run or (
        next_slot(schedule, now) <= now + timedelta(seconds=1)  # type: ignore[operator]
    )


@given(schedules, moments, st.integers(11, 10**6))
def test_a_clock_that_went_back_means_one_run_and_no_pruning(
    schedule: Schedule, now: datetime, minutes: int
) -> None:
    found = due(schedule, Past(success=now + timedelta(minutes=minutes)), now)

    assert (found.run, found.clock_is_odd) == (True, True)
    assert not due(schedule, Past(success=now), now).run


def test_what_never_ran_runs_at_once_and_what_is_manual_never() -> None:
    now = at("2026-11-26T12:00")

    assert due(BERLIN, Past(), now).run
    assert not due(Schedule(), Past(), now).run
    assert next_try(Schedule(), Past(), now) is None


@given(st.integers(1, 10_000))
def test_pauses_grow_to_six_hours(failures: int) -> None:
    assert pause_after(failures) <= pause_after(failures + 1) <= timedelta(hours=6)
    assert pause_after(1) == timedelta(minutes=5)


@given(schedules, moments, st.integers(1, 60))
def test_a_failing_target_is_tried_a_few_times_a_day(
    schedule: Schedule, now: datetime, tick: int
) -> None:
    past, tries, end = Past(), 0, now + timedelta(days=1)

    while now < end:
        if due(schedule, past, now).run:
            tries += 1
            past = Past(None, now, past.failures + 1)
        now += timedelta(minutes=tick)

    assert 4 <= tries <= 12


def test_a_failure_that_is_yet_to_come_holds_nothing_up() -> None:
    now = at("2026-11-26T12:00")

    assert due(BERLIN, Past(None, now + timedelta(days=400), 3), now).run


def test_the_next_try_follows_the_pause_and_then_the_slots() -> None:
    now = at("2026-11-26T12:00")

    assert next_try(BERLIN, Past(), now) == now
    assert next_try(BERLIN, Past(None, now, 1), now) == now + timedelta(minutes=5)
    assert next_try(BERLIN, Past(success=now), now) == at("2026-11-27T01:30")


def test_overdue_is_half_a_cadence_late() -> None:
    now = at("2026-11-26T12:00")

    assert overdue_since(BERLIN, now - timedelta(hours=36), None, now) is None
    late = overdue_since(BERLIN, now - timedelta(hours=37), None, now)
    assert late == timedelta(hours=1)
    assert overdue_since(BERLIN, None, now - timedelta(days=2), now) == timedelta(hours=12)
    assert overdue_since(BERLIN, None, None, now) is None
    assert overdue_since(Schedule(), now - timedelta(days=99), None, now) is None


@pytest.mark.parametrize("name", ["", "Mars/Base", "../etc/passwd", "/etc/passwd", "a" * 99, "é"])
def test_a_name_that_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="time zone"):
        zone_of(name)


def test_weekdays_are_in_the_order_of_the_calendar() -> None:
    names = [date(2026, 11, 23 + n).strftime("%A").lower() for n in range(7)]

    assert list(WEEKDAYS) == names
    assert module.WEEKDAYS[6] == "sunday"

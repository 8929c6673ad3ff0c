"""The rules that bound flashes, and what the boot decision makes of one that holds."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.boot import (
    Ask,
    Image,
    Limits,
    LiveEnv,
    LocalDisk,
    Purpose,
    Situation,
    Wait,
    decide,
    on_fetch,
)
from bty_app.domain.flash_rules import Facts, Hold, Hours, Rule, Rules, holding, parse_hours
from bty_app.domain.machine import BootMode, Phase

NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
FLASH = LiveEnv(Purpose.FLASH)
NEVER = {Rule.LABEL, Rule.ARCHITECTURE}  # what has begun ends as well
LIMITS = Limits()
SITUATIONS = [
    Situation(mode, phase, age, attempts, image, serial, disk_suspect=suspect, storable=storable)
    for mode, phase, age, attempts, image, serial, suspect, storable in itertools.product(
        *(BootMode, Phase, (5.0, 10_000.0), (0, 1, 5), Image),
        *((True, False), (True, False), (True, False)),
    )
]


@pytest.mark.parametrize("rule", Rule)
def test_a_rule_changes_nothing_but_a_flash_that_would_begin(rule: Rule) -> None:
    hold = Hold(rule, "because", None, 77)
    for now, ask in itertools.product(SITUATIONS, Ask):
        free = decide(now, ask, LIMITS)
        held = decide(_with(now, hold), ask, LIMITS)
        begun = now.phase is Phase.BOOTED and (ask is Ask.PLAN or now.age <= LIMITS.grace_seconds)
        if free.offer != FLASH or (begun and rule not in NEVER):
            assert held.offer == free.offer or now.storable is False
            continue
        assert isinstance(held.offer, Wait | LocalDisk)
        assert held.reason.value == rule.value
        assert held.hold == hold
        assert held.next_phase is now.phase
        assert not (now.disk_suspect and isinstance(held.offer, LocalDisk))


def test_nothing_held_is_ever_flashed_or_armed() -> None:
    for now, ask in itertools.product(SITUATIONS, Ask):
        held = _with(now, Hold(Rule.LABEL, "never"))
        assert decide(held, ask, LIMITS).offer != FLASH
        if now.mode in {BootMode.FLASH_ONCE, BootMode.FLASH_ALWAYS}:
            assert on_fetch(held, LIMITS) is None


def _with(now: Situation, hold: Hold) -> Situation:
    return replace(now, hold=hold)


@given(
    st.times(),
    st.times(),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)),  # noqa: DTZ001 - hypothesis takes naive bounds
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
)
def test_the_hours_that_are_told_are_hours_in_which_it_may_begin(
    begin: time, end: time, naive: datetime, zone: str
) -> None:
    hours = Hours(begin.replace(second=0, microsecond=0), end.replace(second=0, microsecond=0))
    if hours.begin == hours.end:
        return
    rules = Rules(hours=hours, zone=ZoneInfo(zone))
    now = naive.replace(tzinfo=UTC)

    hold = holding(rules, Facts(at=now))

    if hold is None:
        return
    assert hold.until is not None
    opens = datetime.fromisoformat(hold.until)
    assert now < opens <= now + timedelta(hours=50)
    assert 1 <= hold.seconds <= 300


@given(st.integers(1, 5), st.lists(st.integers(1, 3599), max_size=12))
def test_an_hour_has_no_more_than_its_bound_and_the_time_told_is_when_one_is_free(
    bound: int, ago: list[int]
) -> None:
    began = tuple(sorted(NOW - timedelta(seconds=seconds) for seconds in ago))
    rules = Rules(per_hour=bound)

    hold = holding(rules, Facts(at=NOW, began=began))

    assert (hold is None) == (len(began) < bound)
    assert holding(rules, Facts(at=NOW, began=began, has_slot=True)) is None
    if hold is not None:
        free = datetime.fromisoformat(hold.until or "")
        within = [moment for moment in began if moment > free - timedelta(hours=1)]
        assert len(within) < bound


def test_an_order_expires_by_the_earlier_of_its_bounds_but_a_retry_does_not() -> None:
    rules = Rules(expires_hours=24)
    old = Facts(at=NOW, armed_at=NOW - timedelta(hours=24))
    bounded = Facts(
        at=NOW, armed_at=NOW - timedelta(hours=1), expires_at=NOW - timedelta(seconds=1)
    )
    retried = Facts(at=NOW, armed_at=NOW - timedelta(hours=99), is_retry=True)

    assert [h.rule for h in (holding(rules, old), holding(Rules(), bounded)) if h] == [
        Rule.EXPIRED,
        Rule.EXPIRED,
    ]
    assert holding(rules, retried) is None
    assert holding(Rules(), old) is None


@pytest.mark.parametrize("text", ["", "22-6", "24:00-06:00", "22:00-22:00", "22:60-06:00", "a-b"])
def test_hours_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="two times"):
        parse_hours(text)

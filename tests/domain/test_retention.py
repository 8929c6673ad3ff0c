"""Which backups go: the promises of the planner, over histories that nobody would think of."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from bty_app.domain import retention
from bty_app.domain.retention import Kept, Policy, plan

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
MANY = settings(max_examples=800)  # five promises: 4,000 histories
policies = st.builds(
    Policy,
    count=st.integers(-1, 9),
    daily=st.integers(-1, 9),
    weekly=st.integers(-1, 9),
    monthly=st.integers(-1, 9),
)
_flags = {name: st.booleans() for name in ("scheduled", "sound", "proven", "pinned")}
histories = st.lists(
    st.builds(
        Kept,
        id=st.text("0123456789-T", min_size=1, max_size=8),
        taken_at=st.integers(-60, 60_000).map(lambda n: NOW - timedelta(minutes=37 * n)),
        before=st.sampled_from(["", "", "an upgrade", "a restore"]),
        machines=st.none() | st.integers(0, 9),
        **_flags,
    ),
    max_size=40,
    unique_by=lambda item: item.id,
)


def days(count: int) -> list[Kept]:
    return [Kept(str(n), NOW - timedelta(days=n)) for n in range(count)]


def removed(items: list[Kept], policy: Policy) -> set[str]:
    return {fate.item.id for fate in plan(items, policy, NOW) if not fate.stays}


@MANY
@given(histories, policies)
def test_what_is_removed_is_ours_sound_unpinned_and_not_of_the_future(
    items: list[Kept], policy: Policy
) -> None:
    for fate in plan(items, policy, NOW):
        item = fate.item
        if not fate.stays:
            assert item.scheduled or item.before
            assert not item.before or item.taken_at <= NOW - timedelta(days=30)
            assert item.sound
            assert not item.pinned
            assert item.taken_at <= NOW
        assert fate.reason


@MANY
@given(histories, policies)
def test_the_newest_proven_and_the_newest_that_counts_stay(
    items: list[Kept], policy: Policy
) -> None:
    gone = removed(items, policy)
    past = [item for item in items if item.sound and item.taken_at <= NOW]
    ours = [item for item in past if item.scheduled]

    for group in ([i for i in past if i.proven], ours):
        if group:
            assert max(group, key=lambda i: (i.taken_at, i.id)).id not in gone


@MANY
@given(histories, policies)
def test_what_counts_is_kept_up_to_the_number(items: list[Kept], policy: Policy) -> None:
    gone = removed(items, policy)
    ours = [i for i in items if i.scheduled and not i.before]
    counted = sorted(
        (i for i in ours if i.sound and not i.pinned and i.taken_at <= NOW),
        key=lambda i: (i.taken_at, i.id),
        reverse=True,
    )

    assert not gone & {item.id for item in counted[: max(1, policy.count)]}
    most = max(1, policy.count) + sum(max(0, n) for n in (policy.daily, policy.weekly))
    kept = [item for item in counted if item.id not in gone]
    assert len(kept) <= most + max(0, policy.monthly) + 2


@given(histories, policies)
def test_what_knows_of_far_more_machines_than_the_newest_does_not_all_go(
    items: list[Kept], policy: Policy
) -> None:
    """P-18: an empty fleet pushes no full one out."""
    gone = removed(items, policy)
    known = sorted(
        (i for i in items if i.sound and i.taken_at <= NOW and i.machines is not None),
        key=lambda i: (i.taken_at, i.id),
        reverse=True,
    )
    far_more = [i for i in known if (i.machines or 0) > 2 * (known[0].machines or 0)]

    assert not far_more or far_more[0].id not in gone


def test_an_empty_backup_a_day_leaves_the_last_full_one() -> None:
    full = [Kept(f"full{n}", NOW - timedelta(days=40 + n), machines=3) for n in range(3)]
    empty = [replace(item, machines=0) for item in days(30)]

    fates = {fate.item.id: fate for fate in plan([*empty, *full], Policy(count=1), NOW)}

    assert {id_ for id_, fate in fates.items() if fate.stays} == {"0", "full0"}
    assert fates["full0"].reason == "knows 3 machines, the newest far fewer"
    fewer = [replace(item, machines=1) for item in days(30)]
    assert "full0" not in removed([*fewer, *full], Policy(count=1)), "thrice as many"
    half = [replace(item, machines=2) for item in days(30)]
    assert "full0" in removed([*half, *full], Policy(count=1)), "not more than twice as many"


@MANY
@given(histories, policies)
def test_a_second_time_removes_nothing(items: list[Kept], policy: Policy) -> None:
    gone = removed(items, policy)
    left = [item for item in items if item.id not in gone]

    assert removed(left, policy) == set()


@MANY
@given(histories, policies, policies)
def test_keeping_more_removes_no_more(items: list[Kept], policy: Policy, more: Policy) -> None:
    larger = Policy(
        *(
            max(getattr(policy, name), getattr(more, name))
            for name in ("count", "daily", "weekly", "monthly")
        )
    )

    assert removed(items, larger) <= removed(items, policy)


def test_the_newest_are_kept_by_number() -> None:
    assert removed(days(10), Policy(count=7)) == {"7", "8", "9"}
    assert removed(days(3), Policy(count=0)) == {"1", "2"}


def test_days_weeks_and_months_thin_out_what_is_older() -> None:
    fates = plan(days(400), Policy(count=2, daily=7, weekly=4, monthly=6), NOW)
    stay = {fate.item.id: fate.reason for fate in fates if fate.stays}

    assert stay["0"] == "one of the newest 2"
    assert stay["6"] == "the newest of its day"
    assert stay["11"] == "the newest of its week"  # Sunday, 15 November
    assert stay["26"] == "the newest of its month"  # 31 October
    assert len(stay) == 7 + 2 + 5


def test_what_was_taken_before_upgrades_does_not_pile_up() -> None:
    at = [3, 20, 40, 50, 60, 70]
    items = [
        Kept(f"up{n}", NOW - timedelta(days=n), scheduled=False, before="an upgrade") for n in at
    ]
    restores = [
        Kept(f"re{n}", NOW - timedelta(days=n), scheduled=False, before="a restore")
        for n in (1, 2, 3, 4, 90)
    ]
    fates = {fate.item.id: fate for fate in plan([*items, *restores, *days(3)], Policy(), NOW)}

    gone = {id_ for id_, fate in fates.items() if not fate.stays}
    assert gone == {"up50", "up60", "up70", "re90"}
    assert fates["up40"].reason == "one of the newest 3 from before an upgrade"
    assert fates["re4"].reason == "taken before a restore less than 30 days ago"


def test_the_only_proven_one_stays_though_it_is_from_before_an_old_upgrade() -> None:
    """P-18: what came later may be worth nothing."""
    old = [
        replace(item, proven=item.id == "99", scheduled=False, before="an upgrade")
        for item in days(100)[50:]
    ]

    gone = removed(old, Policy())
    assert len(gone) == 46
    assert "99" not in gone


def test_each_reason_is_said() -> None:
    items = [
        Kept("f", NOW + timedelta(days=1)),
        Kept("a", NOW, proven=False),
        Kept("p", NOW - timedelta(days=1), pinned=True, proven=False),
        Kept("m", NOW - timedelta(days=2), scheduled=False, proven=False),
        Kept("b", NOW - timedelta(days=3), sound=False),
        Kept("n", NOW - timedelta(days=4)),
        Kept("o", NOW - timedelta(days=5)),
    ]

    fates = {fate.item.id: (fate.stays, fate.reason) for fate in plan(items, Policy(1), NOW)}

    assert fates == {
        "f": (True, retention.FUTURE),
        "a": (True, "one of the newest 1"),
        "p": (True, retention.PINNED),
        "m": (True, retention.NOT_OURS),
        "b": (True, retention.UNSOUND),
        "n": (True, retention.NEWEST_PROVEN),
        "o": (False, retention.TOO_OLD),
    }

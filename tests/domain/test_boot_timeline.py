"""Stages become boots, and the stage that never came is named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.boot_hangs import outcome_of
from bty_app.domain.boot_stages import (
    MAX_DETAILS,
    MAX_TEXT,
    TURNS,
    Seen,
    Stage,
    as_text,
    from_text,
    merged,
    plain,
    repeats,
    said_before,
)
from bty_app.domain.boot_timeline import Kind, boots

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LIVE = {"offer": "live", "purpose": "flash", "reason": "as-bound"}
DISK = {"offer": "disk", "reason": "cycle-done"}
WHOLE = [
    (0, Stage.DHCP_ASKED, {"text": "BIOS", "architecture": 0}),
    (0, Stage.DHCP_OFFERED, {}),
    (1, Stage.TFTP_STARTED, {"file": "ipxe.efi"}),
    (2, Stage.TFTP_DONE, {"file": "ipxe.efi", "bytes": 1000}),
    (4, Stage.DHCP_ASKED, {"text": "iPXE (BIOS)", "architecture": 0}),
    (4, Stage.DHCP_OFFERED, {"file": "http://s/"}),
    (5, Stage.BOOTSTRAP, {}),
    (5, Stage.SCRIPT, LIVE),
    (6, Stage.KERNEL_STARTED, {"of": 100}),
    (7, Stage.KERNEL_DONE, {"bytes": 100, "of": 100}),
    (7, Stage.INITRD_STARTED, {"of": 100}),
    (9, Stage.INITRD_DONE, {"bytes": 100, "of": 100}),
    (30, Stage.CLIENT, {}),
    (33, Stage.INVENTORY, {"disks": 1}),
    (34, Stage.PLAN, {"plan": "flash"}),
    (40, Stage.FLASHING, {"phase": "writing"}),
    (90, Stage.FLASHED, {}),
]


def seen(second: float, stage: Stage, detail: object = None) -> Seen:
    return Seen(NOON + timedelta(seconds=second), stage, "192.0.2.7", plain(detail))


def after(second: float) -> datetime:
    return NOON + timedelta(seconds=second)


def test_a_flash_is_one_boot_and_the_next_network_boot_another() -> None:
    stages = [seen(*row) for row in WHOLE]
    stages += [seen(120, Stage.DHCP_OFFERED), seen(121, Stage.SCRIPT, DISK)]
    stages += [seen(150, Stage.BOOTED)]

    newest, first = boots(stages, after(200))

    assert [stage.stage for stage in first.stages] == [row[1] for row in WHOLE]
    assert (first.kind, first.words) == (Kind.ENDED, "It was flashed.")
    assert [stage.stage for stage in newest.stages] == [
        Stage.DHCP_OFFERED,
        Stage.SCRIPT,
        Stage.BOOTED,
    ]
    assert newest.kind is Kind.ENDED
    assert newest.hang is None


@pytest.mark.parametrize("cut", range(1, len(WHOLE)))
def test_wherever_a_boot_stops_it_hangs_there_and_says_why(cut: int) -> None:
    stages = [seen(*row) for row in WHOLE[:cut]]
    last = stages[-1]

    (soon,) = boots(stages, last.at + timedelta(seconds=1))
    (late,) = boots(stages, last.at + timedelta(hours=1))

    assert soon.kind is Kind.UNDER_WAY
    assert soon.hang is None
    assert late.kind is Kind.HANGS
    assert late.hang is not None
    assert all((late.hang.missing, late.hang.cause, late.hang.remedy))
    assert late.stages[-1] == last


def test_kernel_and_initrd_without_a_live_environment_are_named() -> None:
    (boot,) = boots([seen(*row) for row in WHOLE[:12]], after(3600))

    assert boot.hang is not None
    assert "the live environment never asked" in boot.hang.missing


def test_dhcp_that_goes_round_is_said_before_and_nothing_else_is() -> None:
    asked, offered = seen(0, Stage.DHCP_ASKED), seen(0.1, Stage.DHCP_OFFERED)
    other = seen(0.2, Stage.DHCP_ASKED, {"text": "iPXE"})
    sent = seen(0.3, Stage.TFTP_DONE)
    again = seen(4, Stage.DHCP_ASKED)

    assert said_before([], again) is None
    assert said_before([asked, offered], again) == 0
    assert said_before([asked, offered, other], again) == 0
    assert said_before([asked, offered, sent], again) is None  # it has come further meanwhile
    assert said_before([sent, asked], seen(4, Stage.TFTP_DONE)) is None
    assert said_before([asked, offered], seen(3600, Stage.DHCP_ASKED)) is None
    assert said_before([asked, *[other] * TURNS], again) is None


def test_who_asked_and_got_no_answer_hangs_there() -> None:
    (boot,) = boots([seen(0, Stage.DHCP_ASKED, {"text": "BIOS"})], after(60))

    assert boot.kind is Kind.HANGS
    assert boot.hang is not None
    assert boot.hang.missing == "An answer to its DHCP request."


def test_a_boot_that_another_follows_broke_off_and_waits_for_nothing() -> None:
    stages = [seen(*row) for row in WHOLE[:12]] + [seen(20, Stage.SCRIPT, LIVE)]

    newest, before = boots(stages, after(21))

    assert newest.kind is Kind.UNDER_WAY
    assert before.kind is Kind.BROKE_OFF
    assert before.hang is not None


def test_a_machine_that_waits_in_ipxe_is_in_one_boot() -> None:
    wait = {"offer": "wait", "seconds": 60, "reason": "held"}
    stages = [seen(60 * n, Stage.SCRIPT, wait) for n in range(5)]

    (boot,) = boots(stages, after(270))

    assert boot.kind is Kind.UNDER_WAY
    assert boots(stages, after(1000))[0].kind is Kind.HANGS


def test_two_boots_from_disk_are_two() -> None:
    stages = [seen(0, Stage.SCRIPT, DISK), seen(3000, Stage.SCRIPT, DISK)]

    assert len(boots(stages, after(3001))) == 2


def test_two_inventories_of_a_stick_are_two_boots() -> None:
    stages = [seen(0, Stage.INVENTORY), seen(0, Stage.PLAN), seen(90_000, Stage.INVENTORY)]

    assert [len(boot.stages) for boot in boots(stages, after(90_001))] == [1, 2]


def test_the_next_boot_from_disk_is_no_repeat() -> None:
    assert not repeats(seen(0, Stage.SCRIPT, DISK), seen(60, Stage.SCRIPT, DISK))


def test_what_was_passed_over_and_what_failed_is_said_with_its_reason() -> None:
    (ignored,) = boots([seen(0, Stage.DHCP_IGNORED, "no PXEClient")], after(1))
    (failed,) = boots([seen(0, Stage.FLASH_FAILED, {"reason": "disk is too small"})], after(1))

    assert ignored.kind is failed.kind is Kind.HANGS
    assert ignored.hang is not None
    assert failed.hang is not None
    assert "no PXEClient" in ignored.hang.cause
    assert "disk is too small" in failed.hang.cause


@pytest.mark.parametrize("stage", list(Stage))
def test_every_stage_has_an_outcome(stage: Stage) -> None:
    outcome = outcome_of(seen(0, stage))

    assert outcome.words
    assert outcome.final or (outcome.hang is not None and outcome.patience > 0)


moments = st.integers(0, 100_000)
details = st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text(max_size=9))
everything = st.builds(seen, moments, st.sampled_from(Stage), details)


@given(st.lists(everything, max_size=60))
def test_no_stage_is_lost_or_told_twice(stages: list[Seen]) -> None:
    found = boots(stages, after(100_001))

    flat = [stage for boot in reversed(found) for stage in boot.stages]
    assert flat == sorted(stages, key=lambda stage: stage.at)
    assert all(boot.kind is not Kind.UNDER_WAY for boot in found[1:])
    for boot in found:
        assert (boot.hang is not None) == (boot.kind in {Kind.HANGS, Kind.BROKE_OFF})


@given(
    st.recursive(
        st.none() | st.text() | st.integers() | st.floats(allow_nan=False),
        lambda inner: st.dictionaries(st.text(), inner) | st.lists(inner),
    )
)
def test_details_of_strangers_are_bounded_and_plain(detail: object) -> None:
    kept = plain(detail)

    assert len(kept) <= MAX_DETAILS
    assert all(len(value) <= MAX_TEXT for value in kept.values() if isinstance(value, str))
    assert from_text(as_text(kept)) == kept


@pytest.mark.parametrize("text", ["", "no", "[" * 100_000, "7"])
def test_details_that_others_wrote_break_nothing(text: str) -> None:
    assert isinstance(from_text(text), dict)


def test_a_repeat_is_counted() -> None:
    wait = {"offer": "wait", "seconds": 60}
    first, again = seen(0, Stage.SCRIPT, wait), seen(60, Stage.SCRIPT, wait)

    assert repeats(first, again)
    assert not repeats(first, seen(60, Stage.SCRIPT, LIVE))
    assert not repeats(first, seen(6000, Stage.SCRIPT, wait))
    both = merged(first, again)
    assert (both.at, both.until, both.times) == (after(0), after(60), 2)

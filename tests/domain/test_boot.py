"""The boot decision, over its whole input space."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from bty_app.domain.boot import (
    Arming,
    Ask,
    FirmwareExit,
    Image,
    Limits,
    LiveEnv,
    LocalDisk,
    Purpose,
    Reason,
    Report,
    Situation,
    Wait,
    decide,
    on_done,
    on_failed,
    on_fetch,
    on_inventory,
    pause_after,
)
from bty_app.domain.machine import FLASH_MODES, BootMode, Phase

LIMITS = Limits(grace_seconds=120, max_attempts=5)
AGES = (0.0, 60.0, 120.0, 120.5, 301.0, 901.0, float("inf"))
ATTEMPTS = (0, 1, 2, 3, 4, 5, 6)


def situations() -> Iterator[Situation]:
    """Every situation there is, with ages and attempts on both sides of every limit."""
    for mode, phase, age, attempts, image, serial, suspect, storable in itertools.product(
        BootMode, Phase, AGES, ATTEMPTS, Image, (False, True), (False, True), (False, True)
    ):
        yield Situation(
            mode=mode,
            phase=phase,
            age=age,
            attempts=attempts,
            image=image,
            has_serial=serial,
            drive="0x81",
            disk_suspect=suspect,
            storable=storable,
        )


EVERY = tuple(situations())
DISK = (LocalDisk, FirmwareExit)
FLASH = LiveEnv(Purpose.FLASH)


def of(mode: BootMode, phase: Phase = Phase.IDLE, **more: object) -> Situation:
    facts: dict[str, object] = {
        "mode": mode,
        "phase": phase,
        "age": 0.0,
        "attempts": 1,
        "image": Image.KNOWN,
        "has_serial": True,
        "drive": "0x80",
    }
    return Situation(**(facts | more))  # type: ignore[arg-type]


def test_every_situation_has_an_answer_for_both_who_ask() -> None:
    assert len(EVERY) == 5 * 6 * 7 * 7 * 3 * 2 * 2 * 2

    for now in EVERY:
        for ask in Ask:
            decide(now, ask, LIMITS)


def test_a_flash_needs_a_known_image_and_a_serial() -> None:
    for now in EVERY:
        for ask in Ask:
            if decide(now, ask, LIMITS).offer == FLASH:
                assert now.mode in FLASH_MODES
                assert now.image is Image.KNOWN
                assert now.has_serial


def test_a_suspect_disk_is_booted_on_the_operators_word_alone() -> None:
    for now in EVERY:
        if now.disk_suspect and now.mode is not BootMode.IPXE_EXIT:
            assert not isinstance(decide(now, Ask.CONTACT, LIMITS).offer, DISK)


def test_in_the_middle_of_a_flash_the_disk_is_never_offered() -> None:
    for now in EVERY:
        resolved = now.image is Image.KNOWN and now.has_serial
        under_way = now.phase in {Phase.BOOTED, Phase.FAILED, Phase.HELD}
        if now.mode in FLASH_MODES and resolved and under_way:
            assert not isinstance(decide(now, Ask.CONTACT, LIMITS).offer, DISK)


def test_ipxe_exit_always_boots_the_disk_and_changes_nothing() -> None:
    for now in EVERY:
        if now.mode is BootMode.IPXE_EXIT:
            decision = decide(now, Ask.CONTACT, LIMITS)
            assert decision.offer == LocalDisk("0x81")
            assert decision.next_phase is now.phase


def test_a_plan_never_releases_a_machine_to_its_disk() -> None:
    for now in EVERY:
        if decide(now, Ask.PLAN, LIMITS).next_phase is Phase.RELEASED:
            assert now.phase is Phase.RELEASED


def test_a_finished_flash_once_stays_finished_whatever_asks_and_however_late() -> None:
    for now in EVERY:
        if now.mode is BootMode.FLASH_ONCE and now.phase in {Phase.DONE, Phase.RELEASED}:
            for ask in Ask:
                decision = decide(now, ask, LIMITS)
                assert not isinstance(decision.offer, LiveEnv)
                assert decision.next_phase is now.phase
            assert on_fetch(now, LIMITS) is None


def test_nothing_destructive_begins_while_nothing_can_be_recorded() -> None:
    for now in EVERY:
        if not now.storable:
            for ask in Ask:
                decision = decide(now, ask, LIMITS)
                assert decision.next_phase is now.phase
                if decision.offer == FLASH:
                    assert now.phase is Phase.BOOTED


def test_arming_follows_an_offer_of_the_live_environment() -> None:
    for now in EVERY:
        arming = on_fetch(now, LIMITS)
        if arming is not None:
            assert isinstance(decide(now, Ask.CONTACT, LIMITS).offer, LiveEnv)
            assert now.mode not in {BootMode.IPXE_EXIT, BootMode.TUI}
            assert 1 <= arming.attempts <= LIMITS.max_attempts


@pytest.mark.parametrize("mode", sorted(FLASH_MODES))
@pytest.mark.parametrize("suspect", [False, True])
def test_a_crashed_flasher_is_retried_even_after_an_earlier_good_flash(
    mode: BootMode, suspect: bool
) -> None:
    now = of(mode, Phase.BOOTED, age=600.0, disk_suspect=suspect)

    decision = decide(now, Ask.CONTACT, LIMITS)

    assert decision.offer == FLASH
    assert decision.reason is Reason.RETRY


def test_retries_have_growing_pauses_and_then_the_machine_is_held() -> None:
    pauses = [pause_after(attempts) for attempts in range(1, 5)]
    assert pauses == sorted(pauses)
    assert pauses[0] == 0

    waiting = decide(
        of(BootMode.FLASH_ONCE, Phase.FAILED, age=10.0, attempts=2), Ask.CONTACT, LIMITS
    )
    held = decide(of(BootMode.FLASH_ONCE, Phase.FAILED, age=9e9, attempts=5), Ask.CONTACT, LIMITS)

    assert waiting.offer == Wait(pause_after(2) - 10 + 1)
    assert isinstance(held.offer, Wait)
    assert held.next_phase is Phase.HELD


def test_an_inventory_that_never_arrives_gives_the_disk_back() -> None:
    given_up = decide(
        of(BootMode.INVENTORY, Phase.BOOTED, age=9e9, attempts=5), Ask.CONTACT, LIMITS
    )

    assert given_up.offer == LocalDisk("0x80")
    assert given_up.next_phase is Phase.HELD


@pytest.mark.parametrize("mode", [BootMode.INVENTORY, BootMode.FLASH_ALWAYS])
def test_a_repeat_within_grace_gets_the_disk_again_and_advances_nothing(mode: BootMode) -> None:
    first = decide(of(mode, Phase.DONE), Ask.CONTACT, LIMITS)
    repeat = decide(of(mode, Phase.RELEASED, age=119.0), Ask.CONTACT, LIMITS)
    later = decide(of(mode, Phase.RELEASED, age=121.0), Ask.CONTACT, LIMITS)

    assert first.next_phase is Phase.RELEASED
    assert repeat == first
    assert isinstance(later.offer, LiveEnv)
    assert later.next_phase is Phase.IDLE


def test_a_kernel_fetched_twice_within_grace_is_one_attempt() -> None:
    assert on_fetch(of(BootMode.FLASH_ONCE, Phase.IDLE), LIMITS) == Arming(1)
    assert on_fetch(of(BootMode.FLASH_ONCE, Phase.BOOTED, age=60.0), LIMITS) is None
    assert on_fetch(of(BootMode.FLASH_ONCE, Phase.BOOTED, age=200.0), LIMITS) == Arming(2)


def test_a_completion_counts_once_and_only_for_an_order_of_this_cycle() -> None:
    def meaning(phase: Phase, *, ordered: bool = False, **more: object) -> Report:
        return on_done(of(BootMode.FLASH_ONCE, phase, **more), ordered=ordered, limits=LIMITS)

    assert meaning(Phase.BOOTED) is Report.COUNTS
    assert meaning(Phase.IDLE, ordered=True) is Report.COUNTS
    assert meaning(Phase.IDLE) is Report.STALE
    assert meaning(Phase.IDLE, image=Image.UNBOUND) is Report.FREE
    assert meaning(Phase.DONE) is Report.DUPLICATE


def test_a_failure_report_never_undoes_a_proven_flash() -> None:
    for mode in BootMode:
        assert not on_failed(of(mode, Phase.DONE), ordered=True)
        assert not on_failed(of(mode, Phase.RELEASED), ordered=True)
    assert on_failed(of(BootMode.FLASH_ONCE, Phase.BOOTED), ordered=False)


def test_only_an_inventory_cycle_is_ended_by_an_inventory() -> None:
    ending = {now.mode for now in EVERY if on_inventory(now)}

    assert ending == {BootMode.INVENTORY}


# CONTRACT 4.7, for the rows that SPEC 16 leaves as they are.
CONTRACT_ROWS = [
    (of(BootMode.IPXE_EXIT), LocalDisk("0x80")),
    (of(BootMode.TUI), LiveEnv(Purpose.WIZARD)),
    (of(BootMode.INVENTORY), LiveEnv(Purpose.INVENTORY)),
    (of(BootMode.INVENTORY, Phase.BOOTED), LiveEnv(Purpose.INVENTORY)),
    (of(BootMode.INVENTORY, Phase.DONE), LocalDisk("0x80")),
    (of(BootMode.FLASH_ONCE, image=Image.UNBOUND), LocalDisk("0x80", pause_seconds=5)),
    (of(BootMode.FLASH_ONCE, image=Image.ORPHAN), FirmwareExit()),
    (of(BootMode.FLASH_ONCE, has_serial=False), FirmwareExit()),
    (of(BootMode.FLASH_ONCE), FLASH),
    (of(BootMode.FLASH_ONCE, Phase.BOOTED), FLASH),
    (of(BootMode.FLASH_ALWAYS, Phase.DONE), LocalDisk("0x80")),
    (of(BootMode.FLASH_ONCE, Phase.DONE), LocalDisk("0x80")),
]


@pytest.mark.parametrize(("now", "offer"), CONTRACT_ROWS)
def test_the_contract_table_holds(now: Situation, offer: object) -> None:
    assert decide(now, Ask.CONTACT, LIMITS).offer == offer

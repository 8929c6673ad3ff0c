"""Every state has its words."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bty_app.domain.boot import Ask, Limits, decide, situation
from bty_app.domain.mac import Mac
from bty_app.domain.machine import FLASH_MODES, MODE_NAMES, BootMode, Machine, Phase, Serial
from bty_app.services.machines import Progress
from bty_app.web.ui.words import (
    MODE_HELP,
    Subject,
    Tone,
    duration,
    percent_of,
    progress_words,
    remedy,
    short,
    whole,
)

NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
MACHINE = Machine(
    mac=Mac("52:54:00:12:34:56"),
    image_ref="a" * 64,
    discovered_at=None,
    last_seen_at=None,
    last_seen_ip=None,
    boot_mode=BootMode.FLASH_ONCE,
    sanboot_drive=None,
    last_flashed_at=None,
    known_disks_at=None,
    hw_lshw_at=None,
    target_disk_serial=Serial("S1"),
    created_at="",
    updated_at="",
    phase=Phase.IDLE,
    phase_at=NOW,
    attempts=2,
    ordered_at=None,
    disk_suspect=False,
)
PROGRESS = Progress("", "writing", 3 * 2**30, 8 * 2**30, 100 * 2**20, None)


def test_each_mode_has_a_name_and_help() -> None:
    assert set(MODE_NAMES) == set(MODE_HELP) == set(BootMode)


def said(
    machine: Machine,
    image: str | None = "debian.img",
    storable: bool = True,
    *,
    unproven: bool = False,
) -> str:
    facts = situation(machine, image_known=image is not None, now=NOW, storable=storable)
    subject = Subject(machine, image, "the 1 TB disk, serial S1", None, unproven=unproven)
    return " ".join(whole(subject, decide(facts, Ask.CONTACT, Limits())).sentences)


def test_every_situation_is_said_in_sentences() -> None:
    for mode, phase, ref, image, serial, suspect, attempts, storable in itertools.product(
        BootMode,
        Phase,
        (None, "a" * 64),
        (None, "debian.img"),
        (None, Serial("S1")),
        (False, True),
        (1, 5),
        (False, True),
    ):
        machine = replace(
            MACHINE,
            boot_mode=mode,
            phase=phase,
            image_ref=ref,
            target_disk_serial=serial,
            disk_suspect=suspect,
            attempts=attempts,
        )
        words = said(machine, image, storable)

        assert words.endswith(".")
        assert "None" not in words
        assert len(words) > 20


def test_only_a_machine_that_will_be_flashed_is_said_to_be_erased() -> None:
    for mode, phase in itertools.product(BootMode, Phase):
        machine = replace(MACHINE, boot_mode=mode, phase=phase, attempts=1)
        erases = "will be erased" in said(machine)

        assert not (erases and mode not in FLASH_MODES)
        if mode in FLASH_MODES and phase is Phase.IDLE:
            assert erases


def test_what_is_armed_names_image_disk_and_serial() -> None:
    assert said(MACHINE) == (
        "It waits for its next network boot, to be flashed with debian.img onto the 1 TB disk,"
        " serial S1. Everything on that disk will be erased."
    )


@pytest.mark.parametrize(
    ("changes", "tone"),
    [
        ({}, Tone.WAIT),
        ({"phase": Phase.BOOTED}, Tone.WORK),
        ({"phase": Phase.FAILED}, Tone.FAULT),
        ({"phase": Phase.HELD}, Tone.FAULT),
        ({"phase": Phase.DONE}, Tone.GOOD),
        ({"image_ref": None}, Tone.FAULT),
        ({"target_disk_serial": None}, Tone.FAULT),
        ({"boot_mode": BootMode.IPXE_EXIT}, Tone.REST),
    ],
)
def test_the_tone_follows_the_state(changes: dict[str, object], tone: Tone) -> None:
    machine = replace(MACHINE, **changes)  # type: ignore[arg-type]  # fields by name

    assert short(Subject(machine, "debian.img", None, None)).tone is tone


def test_what_is_flashed_and_not_up_yet_waits_and_is_a_fault_when_it_never_comes() -> None:
    machine = replace(MACHINE, phase=Phase.DONE, last_flashed_at="2026-11-22T20:01:00.000000+00:00")
    never = replace(machine, silence_reported=True)

    def tone(which: Machine, *, unproven: bool) -> Tone:
        return short(Subject(which, "debian.img", None, None, unproven=unproven)).tone

    assert tone(machine, unproven=True) is Tone.WAIT
    assert tone(never, unproven=True) is Tone.FAULT
    assert tone(never, unproven=False) is Tone.GOOD
    assert said(machine, unproven=True).endswith(
        "It was flashed at 2026-11-22 20:01 UTC: done once its system says that it is up."
    )


def test_a_flash_shows_how_far_it_is() -> None:
    machine = replace(MACHINE, phase=Phase.BOOTED)

    status = short(Subject(machine, "debian.img", None, PROGRESS))

    assert (status.words, status.percent) == ("flashing, 37 %, 100.0 MiB/s", 37)
    assert progress_words(PROGRESS) == "writing: 3.0 GiB of 8.0 GiB, 100.0 MiB/s, about 51 s left"


@pytest.mark.parametrize(
    ("done", "total", "percent"),
    [(None, 10, None), (5, None, None), (5, 0, None), (0, 10, 0), (10, 10, 100), (11, 10, 100)],
)
def test_odd_reports_are_borne(done: int | None, total: int | None, percent: int | None) -> None:
    assert percent_of(Progress("", "writing", done, total, 0, None)) == percent


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (89, "89 s"), (90, "2 min"), (5400, "1 h 30 min"), (10**9, "277777 h 47 min")],
)
def test_durations(seconds: int, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(("mode", "phase"), list(itertools.product(BootMode, Phase)))
@pytest.mark.parametrize("image", ["debian.img", None])
@pytest.mark.parametrize("serial", [Serial("S1"), None])
@pytest.mark.parametrize("unproven", [False, True])
def test_whatever_is_in_fault_has_its_remedy_and_nothing_else_has(
    mode: BootMode, phase: Phase, image: str | None, serial: Serial | None, unproven: bool
) -> None:
    machine = replace(
        MACHINE,
        boot_mode=mode,
        phase=phase,
        target_disk_serial=serial,
        silence_reported=unproven,
    )
    subject = Subject(machine, image, "the 1 TB disk, serial S1", None, unproven=unproven)

    cure = remedy(subject)

    assert (cure is not None) == (short(subject).tone is Tone.FAULT)
    if cure is not None:
        assert cure.words.endswith((".", ":"))
        assert cure.label
        assert ("erases" in cure.words) == (mode in FLASH_MODES and cure.place == "again")

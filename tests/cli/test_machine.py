"""`machine assign`, `mode` and `label`, run as their users do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_main import bty
from tests.web.site import MAC, REF, site


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with site(tmp_path / "state") as made:
        made.add_image()
        made.add_machine(MAC)
    return tmp_path


def machine(home: Path, *words: str) -> Any:
    done = bty("machine", *words, "--json", home=home)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def kinds(home: Path) -> list[str]:
    rows = bty("events", "--all", "--json", home=home).stdout.splitlines()
    return [json.loads(row)["summary"] for row in rows]


def test_a_machine_is_given_an_image_a_disk_and_a_mode(home: Path) -> None:
    found = machine(home, "assign", MAC, REF, "--serial", "S1", "--mode", "bty-flash-once")
    kept = machine(home, "assign", MAC, "none")

    assert found["bty_image_ref"] == REF
    assert (found["target_disk_serial"], found["boot_mode"]) == ("S1", "bty-flash-once")
    assert (kept["bty_image_ref"], kept["target_disk_serial"]) == (None, "S1")


def test_a_mode_alone_keeps_the_rest_and_arms_anew(home: Path) -> None:
    machine(home, "assign", MAC, REF, "--serial", "S1")
    found = machine(home, "mode", MAC.upper(), "bty-tui")

    assert (found["boot_mode"], found["bty_image_ref"]) == ("bty-tui", REF)
    assert "its cycle starts anew" in kinds(home)[-1]


def test_labels_come_and_go_and_the_cycle_goes_on(home: Path) -> None:
    first = machine(home, "label", MAC, "--add", "b", "--add", "a")
    then = machine(home, "label", MAC, "--add", "a", "--remove", "b", "--remove", "never")
    before = len(kinds(home))
    same = machine(home, "label", MAC, "--add", "a")

    assert (first["labels"], then["labels"], same["labels"]) == (["a", "b"], ["a"], ["a"])
    assert "its cycle goes on" in kinds(home)[-1]
    assert len(kinds(home)) == before


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("mode", "02:00:00:00:00:01", "bty-tui"), 66),
        (("label", "02:00:00:00:00:01", "--add", "a"), 66),
        (("assign", "02:00:00:00:00:01", REF), 66),
        (("label", MAC), 65),
        (("label", MAC, "--add", "-"), 65),
        (("assign", MAC, "x"), 65),
        (("mode", MAC, "ramboot"), 2),
        (("mode", "zz", "bty-tui"), 65),
    ],
)
def test_bad_input_is_a_sentence(home: Path, words: tuple[str, ...], status: int) -> None:
    done = bty("machine", *words, home=home)

    assert done.returncode == status
    assert "Traceback" not in done.stderr


def test_wiping_and_reading_back_are_said_of_one_machine_and_taken_back(home: Path) -> None:
    said = machine(home, "set", MAC, "--wipe", "secure", "--verify", "no", "--done", "booted")
    kept = machine(home, "label", MAC, "--add", "a")
    left = machine(home, "assign", MAC, REF, "--wipe", "site")

    assert (said["flash_wipe"], said["flash_verify"]) == ("secure", "no")
    assert (kept["flash_wipe"], kept["flash_verify"]) == ("secure", "no")
    assert "flash_wipe" not in left
    assert left["flash_verify"] == "no"
    assert [data["flash_done"] for data in (said, kept, left)] == ["booted"] * 3
    assert bty("machine", "set", MAC, "--wipe", "burn", home=home).returncode == 2

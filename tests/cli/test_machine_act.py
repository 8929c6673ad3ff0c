"""`machine act` and `machine undo`, run as their users do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_main import bty
from tests.web.site import DISKS, MAC, REF, site


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with site(tmp_path / "state") as made:
        made.add_image()
        made.add_machine(MAC, disks=[{**DISKS[0], "serial": "S0"}])
    return tmp_path


def act(home: Path, *words: str) -> tuple[int, str, str]:
    done = bty("machine", *words, home=home)
    return done.returncode, done.stdout, done.stderr


def test_an_act_is_shown_then_done_then_undone(home: Path) -> None:
    words: tuple[str, ...] = ("act", "--matching", "", "--act", "set", "--mode", "bty-flash-once")
    words += ("--image", REF, "--target", "only")

    status, shown, _ = act(home, *words)
    before = act(home, "list")[1]
    done = json.loads(act(home, *words, "--yes", "--json")[1])
    armed = act(home, "show", MAC)[1]
    undone = json.loads(act(home, "undo", done["id"], "--json")[1])

    assert status == 0
    assert "serial S0" in shown
    assert "nothing was done" in shown
    assert "bty-inventory" in before
    assert done["counts"] == {"done": 1}
    assert "bty-flash-once" in armed
    assert undone["counts"] == {"undone": 1}
    assert act(home, "list")[1] == before


def test_bad_input_is_a_sentence(home: Path) -> None:
    status, _, said = act(home, "act", "--mac", MAC, "--act", "set")

    assert status == 65
    assert "nothing to set" in said
    assert act(home, "undo", "nothing-like-it")[0] == 66

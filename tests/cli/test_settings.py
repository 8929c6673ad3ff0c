"""The `settings` command, run as its users do."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.test_main import bty
from tests.fresh_state import make_state


@pytest.fixture
def home(quick_dir: Path) -> Path:
    make_state(quick_dir / "state")
    return quick_dir


def settings(home: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    done = bty("settings", *arguments, home=home, environment=environment)
    return done.returncode, done.stdout, done.stderr


def test_a_setting_is_listed_changed_and_put_back(home: Path) -> None:
    first = settings(home, "list")
    changed = settings(home, "set", "boot.max_attempts", "7")
    again = settings(home, "set", "boot.max_attempts", "7")
    second = settings(home, "list", "--json")
    back = settings(home, "unset", "boot.max_attempts")

    assert first[0] == 0
    assert re.search(r"^boot\.max_attempts +5 +default$", first[1], re.MULTILINE)
    assert changed == (0, "", "boot.max_attempts is 7 (changed here)\n")
    assert again == (0, "", "boot.max_attempts was so already\n")
    rows = {row["key"]: row for row in json.loads(second[1])}
    assert (rows["boot.max_attempts"]["value"], rows["boot.max_attempts"]["from"]) == (
        "7",
        "changed here",
    )
    assert back == (0, "", "boot.max_attempts is 5 (default)\n")


def test_a_value_of_the_configuration_says_so(home: Path) -> None:
    variable = {"BTY_UPSTREAM_NETBOOT_REPO": "http://me:hush@example.com/x"}

    status, text, _ = settings(home, "list", "--json", **variable)

    row = next(row for row in json.loads(text) if row["key"] == "upstream.netboot_repo")
    assert status == 0
    assert row["from"] == "env(BTY_UPSTREAM_NETBOOT_REPO)"
    assert row["value"] == "http://example.com/x"


def test_what_cannot_be_is_refused(home: Path) -> None:
    unknown = settings(home, "set", "boot.max_attemps", "7")
    bad = settings(home, "set", "boot.max_attempts", "0")

    assert unknown[0] == 2
    assert "did you mean 'boot.max_attempts'?" in unknown[2]
    assert bad[0] == 65
    assert "is not a whole number from 1 to 100" in bad[2]


def test_without_a_state_there_is_nothing_to_change(tmp_path: Path) -> None:
    assert settings(tmp_path, "list")[0] == 66

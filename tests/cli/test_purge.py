"""`bty purge` asks first. Podman and compose are stand-ins here that only note what they are told;
tests/container has the real ones.
"""

from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path

import pytest

from bty_app.cli.main import main
from bty_app.deploy import files
from tests.terminal import Terminal

NOTES = '#!/bin/sh\necho "$(basename "$0") $*" >>"$NOTED"\n'


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A deployment with a state in it."""
    shims = tmp_path / "bin"
    shims.mkdir()
    for name in ("podman", "podman-compose"):
        (shims / name).write_text(NOTES)
        (shims / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{shims}:{os.environ['PATH']}")
    monkeypatch.setenv("NOTED", str(tmp_path / "noted"))
    directory = tmp_path / "srv"
    assert main(["init", str(directory)]) == 0
    told = {"HOST_ADDR": "192.0.2.1", "WITHCACHE_ADMIN_PASSWORD": "x"}
    (directory / "envvars").write_text(files.example().changed(told).text)
    (directory / "data/bty/backups/2026-05-24T08-00-00Z").mkdir(parents=True)
    (directory / "data/bty/state.db").write_text("")
    return directory


def _asked(place: Path, answer: str, *words: str) -> tuple[int, str]:
    """The exit status of a purge at a terminal, and all that was done."""
    command = (sys.executable, "-m", "bty_app", "purge", *words, str(place))
    with closing(Terminal(*command, environment=dict(os.environ))) as terminal:
        terminal.wait_for("Go on? [y/N]")
        terminal.type(f"{answer}\n")
        status = terminal.end()
    noted = place.with_name("noted")
    return status, noted.read_text() if noted.exists() else ""


@pytest.mark.parametrize("answer", ["", "n", "yess", "N"])
def test_without_a_clear_yes_nothing_is_done(place: Path, answer: str) -> None:
    status, done = _asked(place, answer, "--all")

    assert status == 1
    assert "down" not in done
    assert (place / "data/bty/state.db").exists()


@pytest.mark.parametrize("answer", ["y", "YES"])
def test_a_yes_does_it(place: Path, answer: str) -> None:
    status, done = _asked(place, answer)

    assert status == 0
    acts = [line for line in done.splitlines() if not line.startswith("podman ps ")]
    assert acts[-1].endswith(" down")
    assert (place / "data/bty/state.db").exists()


def test_what_is_to_go_is_said_before(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["purge", "--all", "--dry-run", str(place)]) == 0

    said = capsys.readouterr().out
    assert f"REMOVE {place}/data/bty (" in said
    assert "backups: 1, the newest 2026-05-24T08-00-00Z" in said
    assert f"remove {place}/envvars" in said
    assert (place / "data/bty/state.db").exists()


def test_what_does_not_look_like_state_is_not_removed(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "data/bty/state.db").rename(place / "data/bty/photos")
    (place / "data/bty/backups/2026-05-24T08-00-00Z").rmdir()
    (place / "data/bty/backups").rmdir()

    assert main(["purge", "--data", "--yes", str(place)]) == 75

    assert "does not look like the state of bty" in capsys.readouterr().err
    assert (place / "data/bty/photos").exists()

"""Directories of state and of backups that are reached by links, or are on other file systems: all
that is done with backups works there too.
"""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest

from bty_app import __version__
from bty_app.cli.main import main
from bty_app.services.backup_before import back_up_before_rotation
from bty_app.store import rotation
from tests.domain.test_bundle import GOLDEN
from tests.golden import goldens

NOW = datetime(2026, 11, 22, 19, 7, 18, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's own configuration has no say here."""
    (tmp_path / "no-config").mkdir()
    monkeypatch.setenv("BTY_CONFIG_DIR", str(tmp_path / "no-config"))


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """Another file system: nothing can be renamed to it."""
    place = tmp_path / "disk"
    place.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", os.fsencode(place), b"tmpfs", 0, b"size=128m") != 0:
        pytest.fail(f"needs root, to mount a disk: {os.strerror(ctypes.get_errno())}")
    try:
        yield place
    finally:
        libc.umount2(os.fsencode(place), 2)  # MNT_DETACH


def run(state: Path, *words: object) -> int:
    return main([str(word) for word in (words[0], "--state-dir", state, *words[1:])])


def whole_life(state: Path, backups: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Made, listed, proven, put back, undone, exported, removed."""
    assert run(state, "import", GOLDEN / "two-machines") == 0
    assert run(state, "backup") == 0
    capsys.readouterr()
    assert run(state, "backups", "list", "--json") == 0
    (listed,) = json.loads(capsys.readouterr().out)
    name = listed["id"]
    assert run(state, "verify", "--drill", backups / name) == 0
    assert main(["--state-dir", str(state), "machine", "forget", "02:00:00:00:00:01"]) == 0
    assert run(state, "restore", name, "--yes") == 0
    assert run(state, "restore", "--undo", "--yes") == 0
    assert run(state, "recover", backups / name / "state.db", "--all", "--yes") == 0
    assert run(state, "export", backups.parent / "bundle") == 0
    assert run(state, "export", "--force", backups.parent / "bundle") == 0
    assert run(state, "backups", "remove", name) == 0
    assert run(state, "verify") == 0
    left = [path.name for path in backups.iterdir() if path.name.startswith((".tmp-", ".del-"))]
    assert left == []


def test_backups_behind_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setenv("BTY_PATHS_BACKUP_DIR", str(tmp_path / "link"))

    whole_life(tmp_path / "state", tmp_path / "link", capsys)


def test_a_state_directory_behind_a_link(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data" / "bty").mkdir(parents=True)
    (tmp_path / "lib").symlink_to(tmp_path / "data")

    whole_life(tmp_path / "lib" / "bty", tmp_path / "lib" / "bty" / "backups", capsys)


@pytest.mark.parametrize("version", goldens.releases()[:2])
def test_an_upgrade_behind_a_link_has_its_backup(tmp_path: Path, version: str) -> None:
    goldens.unpack(version, tmp_path / "data" / "bty")
    (tmp_path / "lib").symlink_to(tmp_path / "data")
    state = tmp_path / "lib" / "bty"

    def backup(old: apsw.Connection) -> str:
        return back_up_before_rotation(old, state / "backups", version=__version__, now=NOW)

    opening = rotation.open_state(state, version=__version__, now=NOW, backup=backup)

    assert opening.outcome is rotation.Outcome.ROTATED
    assert run(state, "recover", opening.archive, "--all", "--yes") == 0
    assert run(state, "verify", state / "backups" / str(opening.backup_id)) == 0


def test_backups_on_another_disk(
    tmp_path: Path,
    other_disk: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("BTY_PATHS_BACKUP_DIR", str(other_disk / "b"))

    whole_life(tmp_path / "state", other_disk / "b", capsys)


def test_a_state_directory_in_memory(other_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole_life(other_disk / "state", other_disk / "state" / "backups", capsys)


@pytest.mark.parametrize("leads_to", ["nothing", "link"])
def test_a_link_that_leads_nowhere_is_said_in_one_line(
    tmp_path: Path,
    leads_to: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / leads_to)
    monkeypatch.setenv("BTY_PATHS_BACKUP_DIR", str(tmp_path / "link"))
    assert run(tmp_path / "s", "import", GOLDEN / "two-machines") == 0
    capsys.readouterr()

    assert run(tmp_path / "s", "backup") == 74

    (said,) = capsys.readouterr().err.splitlines()
    assert f"{tmp_path}/link: is a link that leads nowhere" in said

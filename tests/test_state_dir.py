"""Which directory holds the state, and what makes it fit to hold it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bty_app import config_sources, state_dir
from bty_app.errors import ConfigError, StorageError
from bty_app.state_dir import Candidate

VAR, HOME = Path("/var/lib/bty"), Path("/home/op/.local/state/bty")
ROOT = os.geteuid() == 0


@pytest.mark.parametrize(
    ("default_problem", "fallback", "chosen", "noted"),
    [
        ("", Candidate(HOME), VAR, False),
        ("", None, VAR, False),
        ("cannot be written", Candidate(HOME), HOME, True),
        ("cannot be written", None, VAR, False),
        ("cannot be written", Candidate(HOME, "cannot be created"), VAR, False),
    ],
)
def test_the_choice(
    default_problem: str, fallback: Candidate | None, chosen: Path, noted: bool
) -> None:
    path, note = state_dir.choose(Candidate(VAR, default_problem), fallback)

    assert path == chosen
    assert bool(note) is noted
    if noted:
        assert str(HOME) in note
        assert f"{VAR} cannot be written" in note


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"XDG_STATE_HOME": "/x", "HOME": "/h"}, Path("/x/bty")),
        ({"XDG_STATE_HOME": "relative", "HOME": "/h"}, Path("/h/.local/state/bty")),
        ({"HOME": "/h"}, Path("/h/.local/state/bty")),
        ({"HOME": ""}, None),
        ({}, None),
    ],
)
def test_the_users_own_directory(environment: dict[str, str], expected: Path | None) -> None:
    assert state_dir.user_state_dir(environment) == expected


def test_a_file_in_the_way_and_a_dangling_link_are_problems(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")

    assert "is not a directory" in state_dir.probe(tmp_path / "file" / "bty").problem
    assert "is not a directory" in state_dir.probe(tmp_path / "link").problem
    assert state_dir.probe(tmp_path / "new" / "bty").problem == ""


def test_the_fallback_is_told_and_its_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    own = tmp_path / "home" / "bty"
    own.mkdir(parents=True)
    (own / "bty.toml").write_text("[server]\nport = 7\n")

    config = config_sources.load(
        environment={"XDG_STATE_HOME": str(own.parent)},
        system_dir=tmp_path / "etc",
        default_state_dir=tmp_path / "file" / "bty",
    )

    assert config.paths.state_dir == own
    assert config.paths.boot_dir == own / "boot"
    assert config.server.port == 7
    assert str(own) in config.state_dir_note


def test_a_configured_directory_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    config = config_sources.load(
        environment={"HOME": str(tmp_path), "BTY_PATHS_STATE_DIR": str(tmp_path / "file" / "x")},
        system_dir=tmp_path / "etc",
        default_state_dir=tmp_path / "file" / "bty",
    )

    assert config.paths.state_dir == tmp_path / "file" / "x"
    assert config.state_dir_note == ""


def test_loading_creates_nothing(tmp_path: Path) -> None:
    config_sources.load(
        environment={"HOME": str(tmp_path)},
        system_dir=tmp_path / "etc",
        default_state_dir=tmp_path / "state",
    )

    assert list(tmp_path.iterdir()) == []


def test_a_new_directory_is_private(tmp_path: Path) -> None:
    path = tmp_path / "var" / "bty"

    note = state_dir.prepare_state_dir(path)

    assert note == ""
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_a_directory_of_ours_that_others_only_read_stays_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    assert state_dir.prepare_state_dir(tmp_path) == ""
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_directory_of_ours_that_others_write_is_made_private(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)

    note = state_dir.prepare_state_dir(tmp_path)

    assert f"mode {mode:04o}" in note
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match="is not a directory"):
        state_dir.prepare_state_dir(tmp_path / "file")
    with pytest.raises(StorageError, match="--state-dir"):
        state_dir.prepare_state_dir(tmp_path / "file" / "bty")


# What only another user can see is tried as one: as nobody when the tests run as root.
_AS_ANOTHER = """
import os, sys
from pathlib import Path
from bty_app import state_dir
from bty_app.errors import BtyError
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    print(state_dir.prepare_state_dir(Path(sys.argv[1])))
except BtyError as error:
    print(type(error).__name__, error.message)
"""


def prepared_by_another(path: Path) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", _AS_ANOTHER, str(path)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.strip()


def test_a_directory_of_another_that_others_write_is_refused_with_the_remedy() -> None:
    said = prepared_by_another(Path("/tmp"))  # noqa: S108  root's, and anybody's to write in

    if ROOT:
        assert said.startswith("ConfigError /tmp: belongs to uid 0 and others may write in it")
        assert "run 'chown 65534 /tmp && chmod 700 /tmp'" in said
    else:
        assert said.startswith("ConfigError /tmp: belongs to uid 0")


def test_a_directory_that_cannot_be_written_is_refused_in_one_line() -> None:
    said = prepared_by_another(Path("/usr"))

    assert said.startswith("StorageError /usr: cannot be written by uid ")
    assert len(said.splitlines()) == 1


def test_a_directory_that_cannot_be_created_is_refused_in_one_line() -> None:
    said = prepared_by_another(Path("/usr/bty/state"))

    assert said.startswith("StorageError /usr/bty/state: cannot be created: ")

"""Each command of the two how-to pages, as it stands there, in an installation of its own."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from bty_app import __version__
from bty_app.cli.main import main
from bty_app.store import rotation
from tests.docs.pages import DOCS
from tests.fleet_state import BEGIN, Fleet, bind, forget

MAC = "52:54:00:12:34:56"
BACKUP = "2026-05-24T08-00-00Z"
ARCHIVE = "state.db.0.65.18.20260524T080000Z.bak"
_COMMAND = re.compile(r"^bty (.*)$", re.MULTILINE)
_SHELL = re.compile(r"```sh\n(.*?)```", re.DOTALL)


def commands(page: str) -> list[str]:
    """The lines of a page that call bty, in their order."""
    text = (DOCS / "how-to" / page).read_text("utf-8")
    return [line for block in _SHELL.findall(text) for line in _COMMAND.findall(block)]


def words_of(line: str, fleet: Fleet) -> list[str]:
    """A documented command, with the places of this installation."""
    words = [word.replace("/var/lib/bty", str(fleet.place)) for word in shlex.split(line)]
    words = [str(fleet.place / word) if word == "quarantine.db" else word for word in words]
    return [words[0], "--state-dir", str(fleet.place), *words[1:]]


@pytest.fixture
def fleet(quick_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    monkeypatch.setenv("BTY_CONFIG_DIR", str(quick_dir / "none"))
    (quick_dir / "none").mkdir()
    fleet = Fleet(quick_dir / "state").make()
    fleet.write(bind(1), bind(2))
    fleet.sql("UPDATE machines SET mac = ? WHERE mac LIKE '%:01'", MAC)
    return fleet


def test_every_command_on_restoring_does_what_it_says(fleet: Fleet) -> None:
    fleet.back_up(BACKUP)
    fleet.write(forget(2))
    found = commands("restore-a-backup.md")

    assert [main(words_of(line, fleet)) for line in found] == [0] * len(found)

    assert len(found) == 6
    kinds = fleet.rows("SELECT count(*) FROM events WHERE kind = 'backup.restored'")
    assert kinds == [(3,)]


def test_every_command_on_recovering_does_what_it_says(fleet: Fleet) -> None:
    fleet.sql("UPDATE bty_version SET version = '0.65.18'")
    opening = rotation.open_state(fleet.place, version=__version__, now=BEGIN, backup=None)
    (fleet.place / str(opening.archive)).rename(fleet.place / ARCHIVE)
    shutil.copy(fleet.place / ARCHIVE, fleet.place / "quarantine.db")
    found = commands("recover-an-old-database.md")

    assert [main(words_of(line, fleet)) for line in found] == [0] * len(found)

    assert len(found) == 5
    bound = fleet.rows("SELECT count(*) FROM machines WHERE bty_image_ref IS NOT NULL")
    assert bound == [(2,)]

"""`bty rollback` says what it would do, and what it has done with a damaged database."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bty_app import __version__
from bty_app.cli.main import main
from bty_app.store.rotation import open_state
from tests.fleet_state import Fleet, bind


@pytest.fixture
def fleet(quick_dir: Path) -> Fleet:
    """Upgraded to this release, whose database is noise."""
    fleet = Fleet(quick_dir / "state").make()
    fleet.write(bind(1), bind(2))
    fleet.sql("UPDATE bty_version SET version = '0.91.0'")
    open_state(fleet.place, version=__version__, now=fleet.clock(), backup=None)
    fleet.state_db.write_bytes(b"noise" * 2000)
    return fleet


def run(fleet: Fleet, *words: str) -> int:
    return main(["--state-dir", str(fleet.place), "rollback", *words])


def test_a_damaged_database_needs_a_yes_and_is_moved_aside(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    [archive] = fleet.place.glob("*.bak")

    assert run(fleet, "--dry-run") == 0
    said = capsys.readouterr().out
    assert said == (
        "state.db is not a database: it would be set aside, and the database of 0.91.0 would come"
        f" back from {archive.name} (--yes); nothing was done\n"
    )
    assert run(fleet) == 75
    assert "--yes puts the database of 0.91.0 in its place" in capsys.readouterr().err
    assert not (fleet.place / "quarantine").exists()

    assert run(fleet, "--yes", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["done"], data["machines"], data["older"]) == (True, 2, "0.91.0")
    assert data["damage"] == "state.db is not a database"
    assert (fleet.place / data["set_aside"] / "state.db").read_bytes() == b"noise" * 2000
    assert run(fleet) == 0
    assert "there is nothing to do" in capsys.readouterr().out

"""What every release left on a disk is of use to this one: listed, pruned, imported, verified,
recovered from, rotated from, exported from (STATE-SAFETY 3.11, "old formats").
"""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apsw
import pytest

from bty_app import __version__
from bty_app.cli.main import main
from bty_app.domain.jobs import Quiet
from bty_app.services.backup_before import back_up_before_rotation
from bty_app.services.backups import Backups, Order
from bty_app.services.verify import verify_backup
from bty_app.store import rotation
from bty_app.store.backup_shelf import Shelf
from bty_app.store.database import Database
from tests.fleet_state import rows
from tests.fresh_state import make_state
from tests.golden import goldens

NOW = datetime(2026, 12, 1, 3, tzinfo=UTC)
OURS = goldens.releases()
OLD = [version for version in OURS if version != __version__]
EVERY = [goldens.ORIGINAL, *OURS]
AGES = ("daily", "weekly", "monthly")


@pytest.fixture(autouse=True)
def no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's own configuration has no say here."""
    (tmp_path / "no-config").mkdir()
    monkeypatch.setenv("BTY_CONFIG_DIR", str(tmp_path / "no-config"))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "old"


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A state directory of this release, without anything."""
    make_state(tmp_path / "fresh")
    return tmp_path / "fresh"


def run(state: Path, *words: object) -> int:
    return main([str(word) for word in (words[0], "--state-dir", state, *words[1:])])


def said(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def macs(bundle: Path) -> list[str]:
    return [found["mac"] for found in json.loads(bundle.read_text())["machines"]]


def start(place: Path) -> rotation.Opening:
    """What `serve` does first."""

    def backup(old: apsw.Connection) -> str:
        return back_up_before_rotation(old, place / "backups", version=__version__, now=NOW)

    return rotation.open_state(place, version=__version__, now=NOW, backup=backup)


def test_there_is_a_golden_of_this_release_and_it_has_its_schema(place: Path) -> None:
    """A release whose database nobody kept cannot be tested by those that follow it."""
    remedy = "make it, and keep the file: .venv/bin/python -m tests.golden"
    assert __version__ in OURS, f"there is no golden of {__version__}: {remedy}"
    goldens.unpack(__version__, place)
    make_state(place / "running")
    sql = "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY 1, 2"
    number = "PRAGMA user_version"
    assert rows(place / "state.db", sql) == rows(place / "running" / "state.db", sql), remedy
    assert rows(place / "state.db", number) == rows(place / "running" / "state.db", number), remedy


def test_the_releases_that_were_published_are_all_there() -> None:
    assert {"0.90.0", "0.91.0"} <= set(OURS)


@pytest.mark.parametrize("version", EVERY)
def test_its_backup_is_listed_and_verified(
    version: str, place: Path, fresh: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    goldens.unpack(version, place)
    shutil.copytree(place / "backups" / goldens.BACKUP, fresh / "backups" / goldens.BACKUP)

    assert run(fresh, "backups", "list", "--json") == 0
    (listed,) = said(capsys)
    assert run(fresh, "verify", fresh / "backups" / goldens.BACKUP) == 0
    assert run(fresh, "backups", "show", goldens.BACKUP) == 0

    assert listed["id"] == goldens.BACKUP
    assert listed["is_full"] == (version != goldens.ORIGINAL)
    assert listed["stays"], "it is another installation's"


@pytest.mark.parametrize("version", EVERY)
def test_its_backup_stands_a_drill(version: str, place: Path, fresh: Path) -> None:
    goldens.unpack(version, place)

    assert run(fresh, "verify", "--drill", place / "backups" / goldens.BACKUP) == 0


@pytest.mark.parametrize("version", EVERY)
@pytest.mark.parametrize("what", ["bundle", f"backups/{goldens.BACKUP}"])
def test_its_bundle_is_imported(version: str, what: str, place: Path, fresh: Path) -> None:
    goldens.unpack(version, place)
    wanted = macs(place / what / "inventory.json")

    assert wanted
    assert run(fresh, "import", place / what) == 0
    assert [mac for (mac,) in rows(fresh / "state.db", "SELECT mac FROM machines")] == wanted


@pytest.mark.parametrize("version", EVERY)
def test_its_database_is_exported_as_it_is(version: str, place: Path, tmp_path: Path) -> None:
    """The package was upgraded first: the machines are in the bundle all the same."""
    goldens.unpack(version, place)
    before = (place / "state.db").read_bytes()

    assert run(place, "export", tmp_path / "bundle") == 0

    assert macs(tmp_path / "bundle" / "inventory.json") == list(goldens.MACHINES)
    if version != __version__:
        assert (place / "state.db").read_bytes() == before


@pytest.mark.parametrize("version", [goldens.ORIGINAL, *OLD])
def test_its_database_is_rotated_and_what_was_in_it_is_recovered(version: str, place: Path) -> None:
    goldens.unpack(version, place)

    opening = start(place)

    assert opening.outcome is rotation.Outcome.ROTATED
    assert opening.from_version == version
    assert opening.backup_id is not None
    assert verify_backup(place / "backups" / opening.backup_id).problems == ()
    assert verify_backup(place / "backups" / goldens.BACKUP).version in (version, None)
    assert run(place, "verify") == 0
    state_db = place / "state.db"
    kept = rows(state_db, "SELECT mac FROM machines WHERE known_disks IS NOT NULL ORDER BY mac")
    assert kept
    assert rows(state_db, "SELECT value FROM settings WHERE key = 'display.timezone'") == [
        (goldens.ZONE,)
    ]
    assert rows(state_db, "SELECT * FROM machine_labels") == []

    assert run(place, "recover", opening.archive, "--all", "--yes") == 0
    bound = "SELECT mac, target_disk_serial FROM machines WHERE bty_image_ref IS NOT NULL"
    labels = "SELECT mac, label FROM machine_labels ORDER BY label"
    assert rows(state_db, bound) == [(goldens.BOUND, goldens.SERIAL)]
    assert rows(state_db, labels) == [(goldens.BOUND, label) for label in goldens.LABELS]
    if version != goldens.ORIGINAL:
        assert rows(state_db, "SELECT src FROM catalog_entries") == [(goldens.IMAGE,)]


@pytest.mark.parametrize("version", OLD)
def test_the_database_in_its_backup_is_recovered_from(
    version: str, place: Path, fresh: Path
) -> None:
    goldens.unpack(version, place)

    copy = place / "backups" / goldens.BACKUP / "state.db"
    assert run(fresh, "recover", copy, "--all", "--yes") == 0

    bound = "SELECT mac FROM machines WHERE bty_image_ref IS NOT NULL"
    assert rows(fresh / "state.db", bound) == [(goldens.BOUND,)]


@pytest.mark.parametrize("version", OLD)
def test_a_restore_of_another_release_is_refused_with_the_way(
    version: str, place: Path, fresh: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    goldens.unpack(version, place)

    assert run(fresh, "restore", place / "backups" / goldens.BACKUP, "--yes") in (65, 75)
    assert "recover" in capsys.readouterr().err


def test_a_backup_of_this_release_is_restored(place: Path, fresh: Path) -> None:
    goldens.unpack(__version__, place)

    assert run(fresh, "restore", place / "backups" / goldens.BACKUP, "--yes") == 0
    bound = "SELECT mac FROM machines WHERE bty_image_ref IS NOT NULL"
    assert rows(fresh / "state.db", bound) == [(goldens.BOUND,)]


@pytest.mark.parametrize("version", OURS)
def test_its_scheduled_backups_go_when_their_time_has_come(version: str, place: Path) -> None:
    """Across the upgrade it is the same installation."""
    goldens.unpack(version, place)
    if version != __version__:
        start(place)
    with Database(place / "state.db") as database:
        for name, value in (("retention_count", "1"), *((f"keep_{age}", "0") for age in AGES)):
            database.write(
                lambda tx, name=name, value=value: tx.run(  # type: ignore[misc]
                    "INSERT OR REPLACE INTO settings VALUES (?, ?, ?)",
                    *(f"backup.{name}", value, "2026-12-01T00:00:00.000000+00:00"),
                )
            )
        shelf = Shelf(place / "backups")
        backups = Backups(place / "state.db", shelf, database, clock=lambda: NOW)
        done = backups.create(Order("scheduled"), Quiet())

    assert done.pruned == (goldens.BACKUP,)
    assert goldens.BACKUP not in shelf.ids()


def test_the_original_s_backups_stay_until_somebody_removes_them(place: Path, fresh: Path) -> None:
    goldens.unpack(goldens.ORIGINAL, place)
    shutil.copytree(place / "backups", fresh / "backups")

    assert run(fresh, "settings", "set", "backup.retention_count", "1") == 0
    assert run(fresh, "backup") == 0
    assert goldens.BACKUP in Shelf(fresh / "backups").ids()
    assert run(fresh, "backups", "remove", goldens.BACKUP) == 0
    assert goldens.BACKUP not in Shelf(fresh / "backups").ids()

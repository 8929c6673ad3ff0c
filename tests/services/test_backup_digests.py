"""What goes wrong between a database and its copy: every file digest is right then."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import apsw
import pytest

from bty_app.domain.jobs import Quiet, Step
from bty_app.errors import CancelledError, StorageError
from bty_app.services import backup_files
from bty_app.services.backup_before import back_up_before_rotation
from bty_app.services.backup_files import write_backup
from bty_app.services.verify import verify
from bty_app.store import snapshot
from tests import original_state
from tests.fresh_state import needs_log
from tests.services.test_backup_files import NOW, PLAN, manifest, names, one_machine
from tests.services.test_backups import MANUAL, SCHEDULED, Site, site

__all__ = ["site"]

CELL = "UPDATE machines SET boot_mode = 'bty-tui'"


def changed(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(CELL)
    connection.close()


@pytest.fixture
def miscopying(monkeypatch: pytest.MonkeyPatch) -> None:
    """One cell of the copy differs before anybody has taken a digest of the file."""
    real = snapshot.copy_from

    def copy_from(connection: apsw.Connection, destination: Path, **more: object) -> None:
        real(connection, destination, **more)  # type: ignore[arg-type]
        changed(destination)

    monkeypatch.setattr("bty_app.store.snapshot.copy_from", copy_from)


def sums_again(backup: Path) -> None:
    lines = (backup / "SHA256SUMS").read_text().splitlines()
    parts = [line.partition("  ")[2] for line in lines]
    (backup / "SHA256SUMS").write_text(
        "".join(f"{hashlib.sha256((backup / p).read_bytes()).hexdigest()}  {p}\n" for p in parts)
    )


def without_digests(backup: Path) -> None:
    facts = manifest(backup)
    del facts["digests"]
    (backup / "manifest.json").write_text(json.dumps(facts, indent=2) + "\n")
    sums_again(backup)


def test_every_table_has_its_digest_and_the_copy_is_compared(tmp_path: Path) -> None:
    path = one_machine(tmp_path / "s")
    backup = write_backup(path, tmp_path / "b", PLAN).path
    connection = original_state.connect(path)
    found = [
        row[0]
        for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        if not str(row[0]).startswith("sqlite_")
    ]
    connection.close()

    assert sorted(manifest(backup)["digests"]) == sorted(found)
    verdict = verify(backup)
    assert verdict.problems == ()
    assert verdict.compared == f"{len(found)} tables compared with those that were copied"


@pytest.mark.usefixtures("miscopying")
def test_a_wrong_cell_of_the_copy_is_found_and_by_nothing_else(tmp_path: Path) -> None:
    path = one_machine(tmp_path / "s")

    with pytest.raises(StorageError, match=r"does not read back.*the table machines"):
        write_backup(path, tmp_path / "b", PLAN)

    aside = tmp_path / "b" / f".bad-{PLAN.backup_id}"
    assert names(tmp_path / "b") == [aside.name]
    (problem,) = verify(aside).problems
    assert "the table machines is not what it was" in problem
    without_digests(aside)
    assert verify(aside).problems == ()


@pytest.mark.usefixtures("miscopying")
def test_a_wrong_copy_is_no_backup_before_an_upgrade(tmp_path: Path) -> None:
    path = one_machine(tmp_path / "s")
    connection = original_state.connect(path)

    with pytest.raises(StorageError, match="the table machines"):
        back_up_before_rotation(connection, tmp_path / "b", version="0.99.0", now=NOW)
    connection.close()


def test_a_wrong_copy_is_an_alarm_and_makes_nothing_else_go(
    site: Site, request: pytest.FixtureRequest
) -> None:
    site.set(retention_count="1", keep_daily="0", keep_weekly="0", keep_monthly="0")
    site.days(1)
    site.change()
    request.getfixturevalue("miscopying")

    with pytest.raises(StorageError, match="the table machines"):
        site.backups.create(SCHEDULED, Quiet())

    assert site.kinds()[-1] == "backup.failed"
    assert len(site.shelf.ids()) == 1
    assert site.backups.journal.history().failures == 1


def test_a_cell_that_changed_since_is_an_alarm_although_the_sums_are_right(site: Site) -> None:
    done = site.backups.create(MANUAL, Quiet())
    changed(done.path / "state.db")
    sums_again(done.path)

    (problem,) = site.backups.check(done.backup.id).problems

    assert (
        problem == "state.db: the table machines is not what it was in the database that was copied"
    )
    assert site.kinds()[-1] == "backup.proof.failed"
    assert site.shelf.find(done.backup.id).marks.proven_at is None


def test_one_of_an_older_release_verifies_and_says_that_it_has_none(tmp_path: Path) -> None:
    backup = write_backup(one_machine(tmp_path / "s"), tmp_path / "b", PLAN).path
    without_digests(backup)

    verdict = verify(backup)

    assert verdict.problems == ()
    assert "no digest of any table" in verdict.compared


def test_a_table_that_is_gone_from_the_copy_is_missed(tmp_path: Path) -> None:
    backup = write_backup(one_machine(tmp_path / "s"), tmp_path / "b", PLAN).path
    connection = apsw.Connection(str(backup / "state.db"))
    connection.execute("DROP TABLE flash_slots")
    connection.close()
    sums_again(backup)

    assert "the table flash_slots is not what it was" in verify(backup).problems[0]


@needs_log
def test_where_time_ends_the_manifest_says_which_tables_have_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_files, "_DIGEST_SECONDS", 0.0)

    backup = write_backup(one_machine(tmp_path / "s"), tmp_path / "b", PLAN).path

    assert manifest(backup)["digests"] == {}
    assert verify(backup).problems == ()


def test_who_ends_it_meanwhile_leaves_nothing(tmp_path: Path) -> None:
    class Ending(Quiet):
        def tell(self, step: Step) -> None:
            if step.words.startswith("taking the digests"):
                raise CancelledError("it was cancelled")

    with pytest.raises(CancelledError):
        write_backup(one_machine(tmp_path / "s"), tmp_path / "b", PLAN, teller=Ending())

    assert names(tmp_path / "b") == []


@needs_log
def test_digests_are_of_the_moment_that_was_copied(tmp_path: Path) -> None:
    """Others write between the copy and the digests."""
    path = one_machine(tmp_path / "s")

    class Writing(Quiet):
        def tell(self, step: Step) -> None:
            if step.words.startswith("taking the digests"):
                changed(path)

    backup = write_backup(path, tmp_path / "b", PLAN, teller=Writing()).path

    assert verify(backup).problems == ()

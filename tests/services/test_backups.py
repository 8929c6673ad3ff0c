from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bty_app.domain.catalog_events import By
from bty_app.domain.events import Actor, Query, StoredEvent
from bty_app.domain.jobs import Quiet, Step
from bty_app.domain.moments import stamp
from bty_app.errors import BtyError, CancelledError, ConflictError, StorageError
from bty_app.services import backup_files
from bty_app.services.backups import Backups, Order
from bty_app.store import backup_state, events, settings
from bty_app.store.backup_shelf import Shelf
from bty_app.store.database import Database
from tests.fresh_state import make_state, needs_log

START = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
OPERATOR = By(Actor.OPERATOR, "192.0.2.1")
MANUAL, SCHEDULED = Order("manual"), Order("scheduled")
HOUR = timedelta(hours=1)
ONE = "02:00:00:00:00:01"


class Site:
    """A database, a shelf, and a clock that is set by hand."""

    def __init__(self, database: Database, directory: Path) -> None:
        self.database = database
        self.moment = START
        self.up = timedelta(days=1)
        self.shelf = Shelf(directory)
        self.backups = Backups(
            database.path, self.shelf, database, clock=lambda: self.moment, up=lambda: self.up
        )

    def set(self, **wanted: str) -> None:
        def change(tx: object) -> None:
            for name, text in wanted.items():
                settings.put(tx, f"backup.{name}", text, at="a")  # type: ignore[arg-type]

        self.database.write(change)

    def kinds(self) -> list[str]:
        rows = self.database.read(lambda tx: list(events.every(tx)))
        assert self.database.read(events.broken_at) is None
        return [row.kind for row in rows if row.kind.startswith("backup.")]

    def newest(self) -> StoredEvent:
        return self.database.read(lambda tx: events.listed(tx, Query(limit=1)))[0]

    def change(self) -> None:
        """A machine comes by."""
        at = stamp(self.moment)
        self.database.write(lambda tx: tx.run("UPDATE machines SET last_seen_at = ?", at))

    def days(self, count: int, order: Order = SCHEDULED) -> None:
        for _ in range(count):
            self.change()
            self.backups.create(order, Quiet())
            self.moment += timedelta(days=1)


@contextmanager
def site_at(place: Path) -> Iterator[Site]:
    path = make_state(place / "s")
    with Database(path) as database:
        database.write(
            lambda tx: tx.run(
                "INSERT INTO machines (mac, created_at, updated_at, hw_lshw)"
                " VALUES (?, 'a', 'a', '[1]')",
                ONE,
            )
        )
        yield Site(database, place / "b")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with site_at(tmp_path) as found:
        yield found


class Ending(Quiet):
    """Ends the work at the step with these words."""

    def __init__(self, words: str, error: BaseException) -> None:
        self._words = words
        self._error = error

    def tell(self, step: Step) -> None:
        if step.words.startswith(self._words):
            raise self._error


class KilledError(BaseException):
    """As if the process had ended here."""


def test_a_backup_is_read_back_and_told_of(site: Site) -> None:
    steps: list[str] = []

    class Noting(Quiet):
        def tell(self, step: Step) -> None:
            steps.append(step.words)

    done = site.backups.create(MANUAL, Noting())

    assert done.backup.id == "2026-11-22T03-00-00Z"
    assert done.backup.marks.proven_at is not None
    assert done.backup.manifest.rows["machines"] == 1
    assert done.backup.is_full
    assert site.kinds() == ["backup.create.started", "backup.created"]
    row = site.newest()
    assert (row.subject_kind, row.subject_id, row.actor) == ("backup", done.backup.id, "system")
    details = json.loads(row.details or "")
    assert (details["trigger"], details["machines"], details["dest_path"]) == (
        "manual",
        1,
        str(done.path),
    )
    assert list(dict.fromkeys(steps)) == [
        "copying the database",
        "taking the digests of the tables",
        "giving the backup its name",
        "reading the backup back",
    ]


@needs_log
def test_a_backup_does_not_hold_that_it_was_begun(site: Site) -> None:
    done = site.backups.create(MANUAL, Quiet())

    shutil.copy(done.path / "state.db", done.path.parent.parent / "copy.db")
    with Database(done.path.parent.parent / "copy.db") as copy:
        assert copy.read(backup_state.intention) is None
        assert not copy.read(lambda tx: events.listed(tx, Query(subject_kind="backup")))


def test_one_backup_at_a_time(site: Site) -> None:
    with site.shelf.alone(), pytest.raises(ConflictError, match="being made"):
        site.backups.create(MANUAL, Quiet())

    assert site.kinds() == []


class Waiting(Quiet):
    """Lets the other one end after so many looks; notes what it is told."""

    def __init__(self, looks: int, ends: Callable[[], object]) -> None:
        self.looks = looks
        self.ends = ends
        self.words: list[str] = []

    def tell(self, step: Step) -> None:
        self.words.append(step.words)

    def wait(self, _seconds: float) -> None:
        self.looks -= 1
        if self.looks == 0:
            self.ends()


def test_another_backup_under_way_is_waited_for_and_named(site: Site) -> None:
    with pytest.raises(KilledError):  # it has said which one it makes
        site.backups.create(MANUAL, Ending("copying", KilledError()))
    with ExitStack() as other:
        other.enter_context(site.shelf.alone())

        def ends() -> None:
            site.moment += HOUR
            other.close()

        teller = Waiting(3, ends)
        made = site.backups.create(replace(MANUAL, wait_seconds=600.0), teller)

    assert teller.words[:3] == ["waiting for the backup 2026-11-22T03-00-00Z"] * 3
    assert made.backup.id == "2026-11-22T04-00-00Z", "it is of the moment at which it began"


def test_it_is_not_waited_for_without_end(site: Site) -> None:
    teller = Waiting(0, lambda: None)
    with site.shelf.alone(), pytest.raises(ConflictError, match="being made"):
        site.backups.create(replace(MANUAL, wait_seconds=2.0), teller)

    assert len(teller.words) == 8


def test_a_cancelled_backup_leaves_nothing_but_its_rows(site: Site) -> None:
    with pytest.raises(CancelledError):
        site.backups.create(MANUAL, Ending("copying", CancelledError("enough")))

    assert site.shelf.ids() == []
    assert site.kinds() == ["backup.create.started", "backup.create.cancelled"]
    site.backups.tidy()
    assert site.kinds()[-1] == "backup.create.cancelled"


def test_whoever_cancels_too_late_has_a_backup(site: Site) -> None:
    late = Ending("reading the backup back", CancelledError("enough"))

    assert site.backups.create(MANUAL, late).backup.marks.proven_at


def test_only_success_moves_the_schedule(site: Site) -> None:
    with pytest.raises(StorageError):
        site.backups.create(SCHEDULED, Ending("copying", StorageError("the disk is full")))

    past = site.backups.journal.past()
    assert (past.success, past.failure, past.failures) == (None, START, 1)
    site.moment += timedelta(minutes=5)
    site.backups.create(MANUAL, Quiet())
    assert site.backups.journal.past() == past
    site.backups.create(SCHEDULED, Quiet())
    again = site.backups.journal.past()
    assert (again.success, again.failures) == (START + timedelta(minutes=5), 0)


def test_the_same_failure_of_the_schedule_is_told_once(site: Site) -> None:
    for words in ("the disk is full", "the disk is full", "the disk is full", "the disk is broken"):
        with pytest.raises(StorageError):
            site.backups.create(SCHEDULED, Ending("copying", StorageError(words)))

    assert site.kinds().count("backup.failed") == 2
    assert site.kinds().count("backup.create.started") == 1
    assert site.backups.journal.past().failures == 4


def test_a_failed_run_prunes_nothing(site: Site) -> None:
    site.set(retention_count="1", keep_daily="0", keep_weekly="0", keep_monthly="0")
    site.days(1)
    site.set(retention_count="1")
    site.change()
    with pytest.raises(StorageError):
        site.backups.create(SCHEDULED, Ending("copying", StorageError("full")))

    assert len(site.shelf.ids()) == 1


def test_retention_removes_what_is_too_old_and_tells(site: Site) -> None:
    site.set(retention_count="2", keep_daily="0", keep_weekly="0", keep_monthly="0")
    site.backups.create(Order("manual", "2026-11-01T00-00-00Z"), Quiet())
    site.days(1)
    site.backups.pin(site.shelf.ids()[-1], OPERATOR, is_pinned=True)
    site.days(3)

    assert [(item.backup.id[:10], item.reason) for item in site.backups.listed()] == [
        ("2026-11-25", "one of the newest 2"),
        ("2026-11-24", "one of the newest 2"),
        ("2026-11-22", "pinned"),
        ("2026-11-01", "not taken on this server's schedule: you remove it"),
    ]
    assert site.kinds().count("backup.pruned") == 1
    assert site.newest().subject_id == "2026-11-23T03-00-00Z"


def test_a_clock_that_went_back_prunes_nothing(site: Site) -> None:
    site.days(3)
    site.set(retention_count="1", keep_daily="0", keep_weekly="0", keep_monthly="0")
    site.moment = START + timedelta(days=1, hours=12)
    assert len([row for row in site.backups.listed() if not row.stays]) == 1

    site.backups.create(SCHEDULED, Quiet())

    assert len(site.shelf.ids()) == 4


def test_the_backups_of_another_installation_stay(site: Site, tmp_path: Path) -> None:
    with site_at(tmp_path / "other") as other:
        other.days(3)
        shutil.copytree(other.shelf.directory, site.shelf.directory, dirs_exist_ok=True)
    site.set(retention_count="1", keep_daily="0", keep_weekly="0", keep_monthly="0")
    site.moment = START + timedelta(days=9)
    site.days(2)

    assert len(site.shelf.ids()) == 4


def test_an_operator_removes_but_not_what_is_pinned(site: Site) -> None:
    name = site.backups.create(MANUAL, Quiet()).backup.id
    site.backups.pin(name, OPERATOR, is_pinned=True)

    with pytest.raises(ConflictError, match="unpin"):
        site.backups.remove(name, OPERATOR)
    site.backups.pin(name, OPERATOR, is_pinned=False)
    site.backups.remove(name, OPERATOR)

    assert site.shelf.ids() == []
    assert site.kinds()[-3:] == ["backup.pinned", "backup.unpinned", "backup.deleted"]
    assert site.newest().source_ip == "192.0.2.1"


def test_what_the_disk_does_not_let_go_is_told_of_and_is_still_there(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = site.backups.create(MANUAL, Quiet()).backup.id

    def refuses(_self: Shelf, backup_id: str) -> None:
        raise StorageError(f"{backup_id}: Read-only file system")

    with monkeypatch.context() as patched:
        patched.setattr(Shelf, "remove", refuses)
        with pytest.raises(StorageError, match="Read-only"):
            site.backups.remove(name, OPERATOR)

    told = site.newest()
    told_by = (told.kind, told.subject_id, told.source_ip)
    assert told_by == ("backup.delete.failed", name, "192.0.2.1")
    assert "Read-only" in told.summary
    site.backups.remove(name, OPERATOR)
    assert site.kinds()[-2:] == ["backup.delete.failed", "backup.deleted"]


def test_a_shelf_that_cannot_be_locked_is_a_removal_that_failed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = site.backups.create(MANUAL, Quiet()).backup.id

    def refuses(_self: Shelf) -> None:
        raise StorageError("Read-only file system")

    monkeypatch.setattr(Shelf, "alone", refuses)
    with pytest.raises(StorageError, match="Read-only"):
        site.backups.remove(name, OPERATOR)

    assert site.newest().kind == "backup.delete.failed"


def test_one_whose_name_is_gone_is_told_of_as_removed_by_the_next_look(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = site.backups.create(MANUAL, Quiet()).backup.id
    real = Shelf.remove

    def half_removed(self: Shelf, backup_id: str) -> None:
        real(self, backup_id)
        raise StorageError("Input/output error")

    monkeypatch.setattr(Shelf, "remove", half_removed)
    with pytest.raises(StorageError, match="Input/output"):
        site.backups.remove(name, OPERATOR)
    site.backups.tidy()

    assert site.kinds()[-2:] == ["backup.created", "backup.deleted"]


def test_damage_is_found_told_once_and_kept(site: Site) -> None:
    done = site.backups.create(MANUAL, Quiet())
    content = bytearray((done.path / "state.db").read_bytes())
    content[len(content) // 2] ^= 1
    (done.path / "state.db").write_bytes(content)

    verdicts = [site.backups.check(done.backup.id) for _ in range(2)]

    assert not any(verdict.sound for verdict in verdicts)
    assert site.kinds().count("backup.proof.failed") == 1
    assert site.shelf.find(done.backup.id).marks.problems
    assert site.shelf.find(done.backup.id).marks.proven_at is None


@pytest.mark.parametrize("part", ["inventory.json", "manifest.json"])
def test_a_backup_whose_parts_do_not_agree_is_not_sound(site: Site, part: str) -> None:
    """Also where the digests are right: somebody has put it together from two."""
    done = site.backups.create(MANUAL, Quiet())
    text = (done.path / part).read_text()
    (done.path / part).write_text(
        text.replace('"machines": 1,\n    "mac', '"machines": 2,\n    "mac').replace(
            "\n        1\n", "\n        2\n"
        )
    )
    import hashlib

    sums = (done.path / "SHA256SUMS").read_text()
    old = hashlib.sha256(text.encode()).hexdigest()
    new = hashlib.sha256((done.path / part).read_bytes()).hexdigest()
    (done.path / "SHA256SUMS").write_text(sums.replace(old, new))
    assert old != new

    (problem,) = site.backups.check(done.backup.id).problems

    assert "is not what an export" in problem or "the manifest says" in problem


def test_what_a_drill_found_stays_until_the_next_one(site: Site) -> None:
    name = site.backups.create(MANUAL, Quiet()).backup.id

    site.backups.drilled(name, ("it does not start",), "")
    site.backups.check(name)
    assert site.shelf.find(name).marks.problems == ("drill: it does not start",)
    site.backups.drilled(name, (), "1 machine")

    assert site.shelf.find(name).marks.problems == ()
    assert site.shelf.find(name).marks.drilled_at
    assert site.kinds()[-2:] == ["backup.drill.failed", "backup.drilled"]


def test_a_killed_backup_is_told_of_by_the_next_run(site: Site) -> None:
    with pytest.raises(KilledError):
        site.backups.create(MANUAL, Ending("copying", KilledError()))
    (site.shelf.directory / ".tmp-x.1-1").mkdir()

    site.backups.tidy()
    site.backups.tidy()

    assert site.kinds() == ["backup.create.started", "backup.failed"]
    assert "killed" in site.newest().summary
    assert not [path for path in site.shelf.directory.iterdir() if path.name.startswith(".tmp")]


def test_one_killed_after_it_had_its_name_is_told_of_too(site: Site) -> None:
    with pytest.raises(KilledError):
        site.backups.create(MANUAL, Ending("reading", KilledError()))

    site.backups.tidy()

    assert site.kinds() == ["backup.create.started", "backup.created"]
    assert site.shelf.items()[0].marks.proven_at is None


def test_a_kill_right_after_a_removal_still_leaves_a_row(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = site.backups.create(MANUAL, Quiet()).backup.id
    real = Shelf.remove

    def removed_and_killed(self: Shelf, backup_id: str) -> None:
        real(self, backup_id)
        raise KilledError

    monkeypatch.setattr(Shelf, "remove", removed_and_killed)
    with pytest.raises(KilledError):
        site.backups.remove(name, OPERATOR)
    monkeypatch.setattr(Shelf, "remove", real)

    site.backups.tidy()

    assert site.kinds()[-1] == "backup.deleted"
    assert (site.newest().subject_id, site.newest().source_ip) == (name, "192.0.2.1")


def test_a_kill_right_before_a_removal_leaves_the_backup_and_no_row(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = site.backups.create(MANUAL, Quiet()).backup.id

    def killed(_self: Shelf, _id: str) -> None:
        raise KilledError

    monkeypatch.setattr(Shelf, "remove", killed)
    with pytest.raises(KilledError):
        site.backups.remove(name, OPERATOR)

    site.backups.tidy()

    assert site.shelf.ids() == [name]
    assert site.kinds()[-1] == "backup.created"


def test_a_database_of_another_version_is_backed_up_and_not_told(tmp_path: Path) -> None:
    path = make_state(tmp_path / "s", version="0.1.0")
    before = path.read_bytes()
    backups = Backups(path, Shelf(tmp_path / "b"), None, clock=lambda: START)

    done = backups.create(MANUAL, Quiet())

    assert done.backup.manifest.database_version == "0.1.0"
    assert path.read_bytes() == before


def test_where_the_disk_takes_nothing_the_failure_is_still_the_one_raised(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object, **_more: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr("bty_app.services.backups.write_backup", full)
    monkeypatch.setattr(Database, "write", full)

    with pytest.raises(BtyError, match="full"):
        site.backups.create(MANUAL, Quiet())


def test_what_no_import_takes_is_no_damage_of_a_backup(site: Site) -> None:
    """Stored by an older release, say: it is in the database, and a backup has to be possible."""
    site.database.write(lambda tx: tx.run("UPDATE machines SET known_disks = '[{}]'"))

    done = site.backups.create(MANUAL, Quiet())

    verdict = site.backups.check(done.backup.id)
    assert (verdict.sound, len(verdict.notes)) == (True, 1)


def test_a_backup_that_failed_after_it_had_its_name_is_withdrawn(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = backup_files.write_backup

    def unsure(*given: Any, **more: Any) -> Any:
        real(*given, **more)
        raise StorageError("the directory could not be made durable")

    monkeypatch.setattr("bty_app.services.backups.write_backup", unsure)
    with pytest.raises(StorageError):
        site.backups.create(MANUAL, Quiet())

    assert site.shelf.ids() == []
    assert site.kinds() == ["backup.create.started", "backup.failed"]


def test_a_bundle_with_more_behind_it_is_not_that_of_the_database(site: Site) -> None:
    done = site.backups.create(MANUAL, Quiet())
    with (done.path / "inventory.json").open("a") as file:
        file.write("\n")
    lines = [
        f"{backup_files.sha256_of(done.path / part)}  {part}\n"
        for part in ("inventory.json", "state.db", "manifest.json")
    ]
    (done.path / "SHA256SUMS").write_text("".join(lines))

    (problem,) = site.backups.check(done.backup.id).problems

    assert "is not what an export" in problem


# -- nothing has changed ---------------------------------------------------------------------------


def changed(site: Site, sql: str = "UPDATE machines SET hw_lshw = '[2]'") -> None:
    site.database.write(lambda tx: tx.run(sql))


def test_where_nothing_changed_the_last_one_is_read_back_and_none_is_made(site: Site) -> None:
    first = site.backups.create(SCHEDULED, Quiet())
    site.moment += timedelta(days=1)
    again = site.backups.create(SCHEDULED, Quiet())

    assert not again.is_new
    assert again.backup.id == first.backup.id
    assert site.shelf.ids() == [first.backup.id]
    assert again.backup.marks.checked_at == stamp(site.moment), "the proof has moved"
    known = site.backups.journal.history()
    assert known.last_success_at == known.unchanged_at == stamp(site.moment)
    assert "nothing has changed since the backup 2026-11-22T03-00-00Z" in site.newest().summary


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE machines SET hw_lshw = '[2]'",
        "UPDATE machines SET last_seen_at = '2026-11-22T04:00:00Z'",
        "INSERT INTO machine_labels (mac, label) SELECT mac, 'x' FROM machines",
        "INSERT INTO settings (key, value, updated_at) VALUES ('withcache.url', 'x', 'a')",
        "INSERT INTO bty_instance (key, value) VALUES ('something', '1')",
        "DELETE FROM machines",
        "CREATE TABLE more (a)",
    ],
)
def test_any_change_is_a_reason_for_a_new_one(site: Site, sql: str) -> None:
    site.backups.create(SCHEDULED, Quiet())
    changed(site, sql)
    site.moment += timedelta(days=1)

    assert site.backups.create(SCHEDULED, Quiet()).is_new


def test_who_asks_for_one_gets_one_and_so_does_who_switched_that_off(site: Site) -> None:
    site.backups.create(MANUAL, Quiet())
    site.moment += HOUR
    assert site.backups.create(MANUAL, Quiet()).is_new
    site.set(skip_unchanged="no")
    site.moment += HOUR
    assert site.backups.create(SCHEDULED, Quiet()).is_new


def test_a_last_one_that_has_rotted_is_found_and_a_new_one_is_made(site: Site) -> None:
    first = site.backups.create(SCHEDULED, Quiet())
    (first.path / "inventory.json").write_bytes(b"{}")
    site.moment += timedelta(days=1)
    again = site.backups.create(SCHEDULED, Quiet())

    assert again.is_new
    assert site.shelf.find(first.backup.id).marks.problems
    assert "backup.proof.failed" in site.kinds()


def test_what_retention_has_no_say_over_makes_none_needless(site: Site) -> None:
    """Whoever made it may remove it."""
    site.backups.create(MANUAL, Quiet())
    site.moment += HOUR

    assert site.backups.create(SCHEDULED, Quiet()).is_new


def test_one_without_the_database_says_nothing_about_changes(site: Site) -> None:
    site.set(include_state="no")
    site.backups.create(SCHEDULED, Quiet())
    site.moment += HOUR
    site.backups.create(SCHEDULED, Quiet())

    assert len(site.shelf.ids()) == 2


# -- clocks ----------------------------------------------------------------------------------------


def test_a_clock_that_has_not_been_set_prunes_nothing(site: Site) -> None:
    site.set(retention_count="1", keep_daily="0", keep_weekly="0", keep_monthly="0")
    site.days(2)
    assert len(site.shelf.ids()) == 1
    site.moment = datetime(1970, 1, 1, 0, 5, tzinfo=UTC)
    site.days(2, MANUAL)

    assert len(site.shelf.ids()) == 3


def test_a_host_that_has_just_started_prunes_nothing_before_its_newest_backup(site: Site) -> None:
    site.set(retention_count="1", keep_daily="0", keep_weekly="0", keep_monthly="0")
    site.days(1)
    site.moment += timedelta(days=5)
    site.days(1, MANUAL)  # the newest, and it has moved no slot
    site.moment, site.up = START + timedelta(days=2), timedelta(minutes=5)
    site.days(1)
    assert len(site.shelf.ids()) == 3
    site.moment, site.up = START + timedelta(days=3), timedelta(hours=2)
    site.days(1)

    assert len(site.shelf.ids()) == 2, "in the end the clock of the host is taken for true"

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest

from bty_app.errors import ConfigError, ConflictError, NotFoundError, StorageError
from bty_app.store import creation, events, locks, old_database, rotation, swap
from bty_app.store.database import Database
from bty_app.store.rotation import Opening, Outcome, open_state
from tests.crashlab.originals import ROWS, killed_writer, make_original

NOW = datetime(2026, 11, 22, 19, 7, 18, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
AT = "2026-11-22T19:07:18.570473+00:00"
OURS = "0.89.0"
RUNNING = "0.90.0"
ROOT = Path(__file__).parents[2]


def _start(state_dir: Path, *, now: datetime = NOW, version: str = RUNNING) -> Opening:
    return open_state(state_dir, version=version, now=now, backup=None)


def _names(state_dir: Path) -> list[str]:
    return sorted(path.name for path in state_dir.iterdir() if path.name != "state.lock")


def _older(state_dir: Path) -> Path:
    path = state_dir / "state.db"
    creation.build_fresh(path, version=OURS, at=AT)
    return path


def _events(state_dir: Path) -> list[dict[str, Any]]:
    with Database(state_dir / "state.db") as db:
        rows = db.read(lambda tx: list(events.every(tx)))
    return [{"kind": row.kind, **json.loads(row.details or "{}")} for row in rows]


def _rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


@contextmanager
def _held_open(path: Path, sql: str) -> Iterator[int]:
    """Another process that has the database open, idle after `sql`."""
    program = (
        "import sys, apsw; c = apsw.Connection(sys.argv[1]); c.execute(sys.argv[2]).fetchall();"
        "print('ready', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(path), sql],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process.pid
    process.kill()
    process.communicate()


# -- nothing, or nothing of note ------------------------------------------------------------------


def test_an_empty_directory_gets_a_fresh_database_without_an_event(tmp_path: Path) -> None:
    opening = _start(tmp_path)

    assert opening == Opening(Outcome.CREATED)
    assert opening.sentence == "a fresh database was made"
    assert _names(tmp_path) == ["state.db"]
    assert _events(tmp_path) == []


def test_a_file_of_no_bytes_gets_a_fresh_database_without_an_event(tmp_path: Path) -> None:
    (tmp_path / "state.db").touch()

    assert _start(tmp_path).outcome is Outcome.CREATED
    assert _events(tmp_path) == []


def test_a_database_without_tables_is_replaced_without_an_event(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "state.db"))
    connection.execute("PRAGMA journal_mode = wal; CREATE TABLE t (x); DROP TABLE t")
    connection.close()

    assert _start(tmp_path).outcome is Outcome.CREATED
    assert _names(tmp_path) == ["state.db"]


def test_a_database_of_this_release_stays_as_it_is(tmp_path: Path) -> None:
    _start(tmp_path)
    path = tmp_path / "state.db"
    before = path.stat().st_ino, path.read_bytes()

    opening = _start(tmp_path)

    assert (opening.outcome, opening.sentence) == (Outcome.OPENED, "")
    assert (path.stat().st_ino, path.read_bytes()) == before


def test_what_is_in_the_log_of_this_release_is_there_after_a_start(tmp_path: Path) -> None:
    _start(tmp_path)
    killed_writer(tmp_path / "state.db", "wal")

    assert _start(tmp_path).outcome is Outcome.OPENED
    assert _rows(tmp_path / "state.db", "SELECT DISTINCT updated_at FROM machines") == [("later",)]


def test_builds_that_were_cut_off_are_swept(tmp_path: Path) -> None:
    for name in ("state.db.new", "state.db.new-journal", ".tmp-rotate.plan.1-1"):
        (tmp_path / name).write_bytes(b"half")

    _start(tmp_path)

    assert _names(tmp_path) == ["state.db"]


# -- rotation -------------------------------------------------------------------------------------


def test_another_release_is_archived_and_a_fresh_database_tells_of_it(tmp_path: Path) -> None:
    inode = _older(tmp_path).stat().st_ino
    killed_writer(tmp_path / "state.db", "wal")

    opening = _start(tmp_path)

    archive = tmp_path / f"state.db.{OURS}.20261122T190718Z.bak"
    assert opening.outcome is Outcome.ROTATED
    assert opening.archive == archive.name
    assert (opening.from_version, opening.machines) == (OURS, ROWS)
    assert _names(tmp_path) == ["state.db", archive.name]
    [event] = _events(tmp_path)
    assert event["kind"] == "system.schema.reset"
    assert event["from_version"] == OURS
    assert event["to_version"] == RUNNING
    assert event["archived_at"] == str(archive)
    assert event["archived_inode"] == inode == archive.stat().st_ino
    assert event["quick_check"] == "ok"
    assert event["rows"]["machines"] == ROWS
    assert event["carried"] == {"machines": ROWS, "machines_skipped": 0, "settings": []}
    assert event["backup_id"] is None


def test_the_archive_holds_every_acknowledged_row_in_one_private_file(tmp_path: Path) -> None:
    _older(tmp_path).chmod(0o644)
    killed_writer(tmp_path / "state.db", "wal")

    opening = _start(tmp_path)

    archive = tmp_path / str(opening.archive)
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    assert _rows(archive, "SELECT count(*), min(updated_at) FROM machines") == [(ROWS, "later")]
    assert _rows(archive, "PRAGMA journal_mode") == [("delete",)]
    assert _rows(archive, "PRAGMA integrity_check") == [("ok",)]


def test_the_fresh_database_has_the_hardware_unbound(tmp_path: Path) -> None:
    _older(tmp_path)
    killed_writer(tmp_path / "state.db", "wal")

    _start(tmp_path)

    sql = "SELECT boot_mode, count(*), count(hw_lshw) FROM machines GROUP BY 1"
    assert _rows(tmp_path / "state.db", sql) == [("bty-inventory", ROWS, ROWS)]


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("0.58.2", "0.58.2"),
        ("0.77.2", "0.77.2"),
        (None, "pre-versioning"),
        ("9.9.9", "9.9.9"),
        ("0.65.18+dirty 1", "0.65.18_dirty_1"),
        ("../../../tmp/x", "unknown"),
        ("x" * 10_000_000, "unknown"),
        ("a\0b", "unknown"),
    ],
)
def test_a_state_directory_of_the_original_is_taken_over(
    tmp_path: Path, version: str | None, name: str
) -> None:
    catalog = version != "0.77.2"  # the later ones have no such table
    make_original(tmp_path / "state.db", version=version, catalog=catalog)
    killed_writer(tmp_path / "state.db", "journal")

    opening = _start(tmp_path)

    assert opening.archive == f"state.db.{name}.20261122T190718Z.bak"
    assert _names(tmp_path) == ["state.db", opening.archive]
    [event] = _events(tmp_path)
    assert event["carried"]["machines"] == ROWS
    assert event["carried"]["settings"] == ["backup.enabled", "display.timezone"]
    sql = "SELECT count(*), sum(hw_lshw LIKE '%y%') FROM machines"
    assert _rows(tmp_path / opening.archive, sql) == [(ROWS, 0)]


def test_a_log_that_an_admin_of_the_original_enabled_is_taken_over(tmp_path: Path) -> None:
    make_original(tmp_path / "state.db", version="0.65.18")
    killed_writer(tmp_path / "state.db", "wal")

    opening = _start(tmp_path)

    assert _names(tmp_path) == ["state.db", str(opening.archive)]
    assert _rows(tmp_path / str(opening.archive), "SELECT min(updated_at) FROM machines") == [
        ("later",)
    ]


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("DELETE FROM bty_version", "pre-versioning"),
        ("UPDATE bty_version SET version = NULL", "unknown"),
        ("UPDATE bty_version SET version = x'00'", "unknown"),
        ("INSERT INTO bty_version VALUES ('1')", "unknown"),
        ("DROP TABLE bty_version; CREATE TABLE bty_version (other TEXT)", "unknown"),
        ("DROP TABLE bty_version; CREATE VIEW bty_version AS SELECT 1", "pre-versioning"),
        (f"UPDATE bty_version SET version = '{RUNNING}'", RUNNING),
    ],
)
def test_a_strange_marker_is_no_obstacle(tmp_path: Path, sql: str, name: str) -> None:
    make_original(tmp_path / "state.db", version="0.65.18")
    _rows(tmp_path / "state.db", sql)

    opening = _start(tmp_path)

    assert opening.archive == f"state.db.{name}.20261122T190718Z.bak"


def test_archives_of_one_second_get_numbers(tmp_path: Path) -> None:
    for version in ("1", "2", "1", "2"):
        _start(tmp_path, version=version)

    stem = "20261122T190718Z"
    expected = ["state.db", f"state.db.1.{stem}.1.bak", f"state.db.1.{stem}.bak"]
    assert _names(tmp_path) == [*expected, f"state.db.2.{stem}.bak"]


def test_the_audit_chain_and_the_identity_go_on(tmp_path: Path) -> None:
    for version in ("1", "2", "3"):
        _start(tmp_path, version=version)

    with Database(tmp_path / "state.db") as db:
        start = db.read(events.chain_start)
        broken = db.read(events.broken_at)
    sql = "SELECT key, value FROM bty_instance WHERE key IN ('instance_id', 'rotations') ORDER BY 1"
    archives = sorted(tmp_path.glob("*.bak"))
    ended = _rows(archives[-1], "SELECT chain FROM events ORDER BY id DESC LIMIT 1")
    assert [(start,)] == ended
    assert broken is None
    first = dict(_rows(archives[0], sql))
    last = dict(_rows(tmp_path / "state.db", sql))
    assert first["instance_id"] == last["instance_id"]
    assert (first["rotations"], last["rotations"]) == ("0", "2")


def test_a_crash_between_the_two_names_is_recognised_by_the_inode(tmp_path: Path) -> None:
    path = _older(tmp_path)
    named = tmp_path / f"state.db.{OURS}.20261101T000000Z.bak"
    os.link(path, named)

    opening = _start(tmp_path)

    assert opening.archive == named.name
    assert _names(tmp_path) == ["state.db", named.name]


def test_a_database_that_stays_in_use_loses_its_second_name(tmp_path: Path) -> None:
    _start(tmp_path)
    os.link(tmp_path / "state.db", tmp_path / "state.db.0.1.20261101T000000Z.bak")
    os.link(tmp_path / "state.db", tmp_path / "by-hand.bak")

    _start(tmp_path)

    assert _names(tmp_path) == ["by-hand.bak", "state.db"]


# -- the backup before it -------------------------------------------------------------------------


def test_the_backup_sees_the_old_database_alone_and_outside_a_transaction(tmp_path: Path) -> None:
    path = _older(tmp_path)
    killed_writer(path, "wal")
    seen: list[object] = []

    def backup(connection: apsw.Connection) -> str:
        seen.append(connection.execute("SELECT min(updated_at) FROM machines").fetchall())
        copy = apsw.Connection(str(tmp_path / "copy.db"))
        with copy.backup("main", connection, "main") as process:
            process.step(-1)
        copy.close()
        with pytest.raises(apsw.BusyError):
            _rows(path, "SELECT count(*) FROM machines")
        connection.execute("BEGIN")
        return "the-id"

    opening = open_state(tmp_path, version=RUNNING, now=NOW, backup=backup)

    assert seen == [[("later",)]]
    assert opening.backup_id == "the-id"
    assert _events(tmp_path)[0]["backup_id"] == "the-id"
    assert _rows(tmp_path / "copy.db", "SELECT count(*) FROM machines") == [(ROWS,)]


@pytest.mark.parametrize(
    "error", [NotFoundError("no place"), OSError(28, "No space left"), apsw.FullError("full")]
)
def test_a_backup_that_fails_refuses_the_start_and_changes_nothing(
    tmp_path: Path, error: Exception
) -> None:
    path = _older(tmp_path)
    inode = path.stat().st_ino

    def backup(_connection: apsw.Connection) -> str:
        raise error

    with pytest.raises(StorageError, match=r"backup that precedes .* nothing was changed"):
        open_state(tmp_path, version=RUNNING, now=NOW, backup=backup)

    assert _names(tmp_path) == ["state.db"]
    assert path.stat().st_ino == inode
    assert _rows(path, "SELECT version FROM bty_version") == [(OURS,)]


def test_no_backup_is_asked_for_when_nothing_is_rotated(tmp_path: Path) -> None:
    def backup(_connection: apsw.Connection) -> str:
        raise AssertionError

    for _ in range(2):
        open_state(tmp_path, version=RUNNING, now=NOW, backup=backup)


# -- others ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["idle", "reading", "writing"])
@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_nothing_is_rotated_under_another_program_and_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, mode: str
) -> None:
    monkeypatch.setattr(old_database, "_BUSY_SECONDS", 0.2)
    monkeypatch.setattr("bty_app.store.sqlite.BUSY_TIMEOUT_MS", 200)
    path = _older(tmp_path)
    _rows(path, f"PRAGMA journal_mode = {mode}")
    sql = {
        "idle": "SELECT 1 FROM machines",
        "reading": "BEGIN; SELECT 1 FROM machines",
        "writing": "BEGIN IMMEDIATE; INSERT INTO settings VALUES ('a', 'b', 'c')",
    }[how]

    with (
        _held_open(path, sql) as pid,
        pytest.raises(ConflictError, match=rf"pid {pid}\).*nothing was changed"),
    ):
        _start(tmp_path)

    assert _rows(path, "SELECT version FROM bty_version") == [(OURS,)]
    assert not list(tmp_path.glob("*.bak"))
    assert _start(tmp_path).outcome is Outcome.ROTATED


def test_a_command_that_uses_the_state_holds_the_start_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "LOCK_WAIT_SECONDS", 0.1)

    with locks.shared(tmp_path), pytest.raises(ConflictError):
        _start(tmp_path)
    assert _start(tmp_path).outcome is Outcome.CREATED


@pytest.mark.parametrize("kind", ["link", "directory", "fifo"])
def test_what_is_no_file_is_refused_and_left(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "state.db"
    if kind == "link":
        creation.build_fresh(tmp_path / "real.db", version=RUNNING, at=AT)
        path.symlink_to(tmp_path / "real.db")
    elif kind == "directory":
        path.mkdir()
    else:
        os.mkfifo(path)

    with pytest.raises(ConfigError, match=r"state\.db: is "):
        _start(tmp_path)
    assert os.path.lexists(path)


# -- disks ----------------------------------------------------------------------------------------


_FULL = """
import contextlib
import sys
from datetime import UTC, datetime
from pathlib import Path
from bty_app.errors import BtyError
from bty_app.store.rotation import open_state
from tests.crashlab.originals import killed_writer, make_original
place = Path(sys.argv[1])
make_original(place / "state.db", version="0.65.18")
killed_writer(place / "state.db", sys.argv[2], rows=200)
ballast = place / "ballast"
with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
    while file.write(b"x" * 4096):
        pass
def start():
    return open_state(place, version="1", now=datetime(2026, 11, 22, tzinfo=UTC), backup=None)
try:
    start()
except BtyError as error:
    print(type(error).__name__, error.message)
print(sorted(path.name for path in place.iterdir() if path.suffix == ".bak" or ".new" in path.name))
ballast.unlink()
print(start().outcome, start().outcome)
"""


@pytest.mark.parametrize("log", ["wal", "none"])
def test_a_full_disk_refuses_with_sizes_and_a_start_with_room_succeeds(
    tmp_path: Path, log: str
) -> None:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.fail("needs root and unshare: a rotation on a full disk is not proven here")
    program = tmp_path.with_name(f"{tmp_path.name}.py")
    program.write_text(_FULL)
    script = (
        f"mount -t tmpfs -o size=3m none {tmp_path}"
        f" && PYTHONPATH={ROOT} exec {sys.executable} -B {program} {tmp_path} {log}"
    )

    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()

    assert done.returncode == 0, done.stderr
    assert lines[0].startswith("StorageError the disk under")
    assert "MiB and start again; nothing was changed" in lines[0]
    assert lines[1:] == ["[]", "rotated opened"]


@pytest.mark.parametrize("exchanged", [True, False])
def test_without_hard_links_a_plan_is_finished_at_the_next_start(
    tmp_path: Path, exchanged: bool
) -> None:
    """Cut off between two renames: after an exchange, or after the old one got its new name."""
    path = _older(tmp_path)
    archive = tmp_path / f"state.db.{OURS}.20261122T190718Z.bak"
    new = creation.unfinished(path)

    def fill(connection: apsw.Connection) -> None:
        sql = "INSERT INTO bty_instance VALUES (?, ?)"
        connection.execute(sql, (swap.PREDECESSOR, archive.name))

    creation.build_fresh(new, version=RUNNING, at=AT, fill=fill)
    path.rename(archive)
    if exchanged:
        new.rename(path)
        archive.rename(new)
    swap.plan_file(path).write_text(json.dumps({"archive": archive.name}))

    opening = _start(tmp_path)

    assert opening.outcome is Outcome.OPENED
    assert _names(tmp_path) == ["state.db", archive.name]
    assert _rows(archive, "SELECT version FROM bty_version") == [(OURS,)]


def test_a_plan_whose_fresh_database_is_gone_gives_the_old_one_its_name_back(
    tmp_path: Path,
) -> None:
    path = _older(tmp_path)
    archive = tmp_path / f"state.db.{OURS}.20261122T190718Z.bak"
    path.rename(archive)
    swap.plan_file(path).write_text(json.dumps({"archive": archive.name}))

    opening = _start(tmp_path, now=LATER)

    assert opening.archive == f"state.db.{OURS}.20261122T200718Z.bak"
    assert _names(tmp_path) == ["state.db", opening.archive]


@pytest.mark.parametrize("content", ["", "[]", '{"archive": 1}', '{"archive": "../state.db"}'])
def test_a_plan_that_is_not_ours_is_refused_and_left(tmp_path: Path, content: str) -> None:
    _older(tmp_path)
    swap.plan_file(tmp_path / "state.db").write_text(content)

    with pytest.raises(StorageError, match=r"rotate\.plan"):
        _start(tmp_path)
    assert _names(tmp_path) == ["rotate.plan", "state.db"]

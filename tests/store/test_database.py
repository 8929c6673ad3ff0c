from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from bty_app.errors import BtyError, ConflictError, MovedError, NotFoundError, StorageError
from bty_app.store import database as store_database
from bty_app.store import hardware, replicated, sqlite
from bty_app.store.creation import create
from bty_app.store.database import ALL_TOPICS, Database, Tx
from bty_app.store.sqlite import Journal
from tests.fresh_state import make_state

ROOT = Path(__file__).parents[2]
AT = "2026-11-22T19:07:18.570473+00:00"
PUT = "INSERT INTO settings VALUES (?, ?, 'now')"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    create(tmp_path / "state.db", version="1", at=AT)
    sqlite.writable(tmp_path / "state.db", Journal.WAL).close()
    return tmp_path / "state.db"


def _put(key: str, value: str = "v") -> Callable[[Tx], int]:
    return lambda tx: tx.run(PUT, key, value)


def _keys(db: Database) -> list[str]:
    return db.read(lambda tx: [row[0] for row in tx.rows("SELECT key FROM settings ORDER BY 1")])


def _together(db: Database, changes: list[Callable[[Tx], object]]) -> list[object]:
    """Submit `changes` so that they wait in one queue: one group commit takes them all."""
    entered, leave = threading.Event(), threading.Event()

    def first(_tx: Tx) -> None:
        entered.set()
        assert leave.wait(10)

    with ThreadPoolExecutor(len(changes) + 1) as pool:
        blocking = pool.submit(db.write, first)
        assert entered.wait(10)
        futures = []
        for number, change in enumerate(changes, 1):
            futures.append(pool.submit(db.write, change))
            while db._queue.qsize() < number:
                threading.Event().wait(0.001)
        leave.set()
        blocking.result()
        outcomes: list[object] = []
        for future in futures:
            try:
                outcomes.append(future.result())
            except (BtyError, ValueError) as error:
                outcomes.append(error)
    return outcomes


def test_changes_that_wait_together_are_one_commit(path: Path) -> None:
    commits: list[frozenset[str]] = []

    def touching(number: int) -> Callable[[Tx], object]:
        def change(tx: Tx) -> int:
            tx.touch(f"topic{number}")
            return tx.run(PUT, f"k{number}", "v")

        return change

    with Database(path, on_commit=commits.append) as db:
        outcomes = _together(db, [touching(number) for number in range(20)])

    assert outcomes == [1] * 20
    assert commits == [frozenset(f"topic{number}" for number in range(20))]


def _refusing(tx: Tx) -> None:
    tx.run(PUT, "refused", "v")
    raise NotFoundError("there is none")


def _buggy(tx: Tx) -> None:
    tx.run(PUT, "buggy", "v")
    raise ValueError("a bug")


def _breaking_a_rule(tx: Tx) -> None:
    tx.run(PUT, "rule", "v")
    tx.run("INSERT INTO settings VALUES ('rule', NULL, 'now')")


def _wrong_sql(tx: Tx) -> None:
    tx.run(PUT, "sql", "v")
    tx.run("UPDATE no_such_table SET x = 1")


def _wrong_bindings(tx: Tx) -> None:
    tx.run(PUT, "bindings", "v")
    tx.run(PUT, "too few")


@pytest.mark.parametrize(
    ("failing", "error"),
    [
        (_refusing, NotFoundError),
        (_buggy, ValueError),
        (_breaking_a_rule, ConflictError),
        (_wrong_sql, StorageError),
        (_wrong_bindings, StorageError),
    ],
)
def test_a_change_that_fails_is_undone_alone(
    path: Path, failing: Callable[[Tx], None], error: type[Exception]
) -> None:
    with Database(path) as db:
        outcomes = _together(db, [_put("before"), failing, _put("after")])

        assert outcomes[0] == outcomes[2] == 1
        assert isinstance(outcomes[1], error)
        assert _keys(db) == ["after", "before"]


def test_a_change_that_failed_announces_nothing(path: Path) -> None:
    commits: list[frozenset[str]] = []

    def touching(tx: Tx) -> None:
        tx.touch("machines")
        raise NotFoundError("no")

    with Database(path, on_commit=commits.append) as db, pytest.raises(NotFoundError):
        db.write(touching)

    assert commits == []


def test_what_a_listener_does_with_a_commit_does_not_hang_the_writer_of_it(path: Path) -> None:
    def listener(_topics: frozenset[str]) -> None:
        assert db.read(lambda tx: tx.value("SELECT count(*) FROM settings")) == 1

    def change(tx: Tx) -> int:
        tx.touch("settings")
        return tx.run(PUT, "a", "b")

    with Database(path, on_commit=listener) as db:
        assert db.write(change) == 1


_WRITER = """
import sys
from pathlib import Path
from bty_app.store.database import Database
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
db = Database(Path(sys.argv[1]))
prefix, count = sys.argv[2], int(sys.argv[3])
def put(n):
    key = f"{prefix}{n}"
    db.write(lambda tx: tx.run("INSERT INTO settings VALUES (?, 'v', 'now')", key))
    sys.stdout.write(key + chr(10)); sys.stdout.flush()
with ThreadPoolExecutor(8) as pool:
    list(pool.map(put, range(count)))
db.close()
"""


def _writer(path: Path, prefix: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-B", "-c", _WRITER, str(path), prefix, str(count)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


@pytest.mark.parametrize("after", [1, 50, 200])
def test_every_acknowledged_change_survives_kill_9(path: Path, after: int) -> None:
    process = _writer(path, "k", 1_000_000)
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().strip() for _ in range(after)]
    process.send_signal(signal.SIGKILL)
    acknowledged += [line.strip() for line in process.stdout if line.endswith("\n")]
    process.wait()

    with Database(path) as db:
        found = set(_keys(db))
        sound = db.read(lambda tx: tx.value("PRAGMA integrity_check"))

    assert process.returncode == -signal.SIGKILL
    assert len(acknowledged) >= after
    assert set(acknowledged) <= found
    assert sound == "ok"


def test_two_processes_write_side_by_side(path: Path) -> None:
    processes = [_writer(path, prefix, 100) for prefix in ("a", "b")]
    for process in processes:
        _out, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors

    with Database(path) as db:
        assert len(_keys(db)) == 200


def test_a_reader_sees_one_moment_while_others_write(path: Path) -> None:
    with Database(path) as db:
        db.write(_put("first"))

        def query(tx: Tx) -> tuple[int, int]:
            before = tx.value("SELECT count(*) FROM settings")
            db.write(_put("second"))
            return before, tx.value("SELECT count(*) FROM settings")

        assert db.read(query) == (1, 1)
        assert _keys(db) == ["first", "second"]


def test_a_reader_cannot_write(path: Path) -> None:
    with Database(path) as db:
        with pytest.raises(StorageError, match="read-only"):
            db.read(_put("sneaked"))

        assert _keys(db) == []


def test_a_failed_query_leaves_its_reader_usable(path: Path) -> None:
    with Database(path) as db:
        with pytest.raises(StorageError):
            db.read(lambda tx: tx.value("SELECT * FROM no_such_table"))
        with pytest.raises(ZeroDivisionError):
            db.read(lambda _tx: 1 / 0)

        assert _keys(db) == []


def test_a_foreign_writer_is_noticed_also_when_this_one_is_never_idle(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_database, "FOREIGN_CHECK_SECONDS", 0.2)
    noticed = threading.Event()

    def listener(topics: frozenset[str]) -> None:
        if topics == ALL_TOPICS:
            noticed.set()

    with Database(path, on_commit=listener) as db:
        db.write(_put("ours"))
        other = sqlite.writable(path)
        other.execute(PUT, ("theirs", "v"))
        other.close()
        until = time.monotonic() + 10  # how many writes that are is a matter of the disk
        for number in itertools.count():
            if noticed.is_set() or time.monotonic() > until:
                break
            db.write(_put(f"busy{number}"))

        assert noticed.is_set()


def test_own_commits_are_no_foreign_writer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_database, "FOREIGN_CHECK_SECONDS", 0.01)
    commits: list[frozenset[str]] = []

    with Database(path, on_commit=commits.append) as db:
        for number in range(50):
            db.write(_put(f"k{number}"))
        _keys(db)

    assert commits == []


def test_closing_finishes_what_waits_and_empties_the_log(path: Path) -> None:
    db = Database(path)
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(db.write, _put(f"k{number}")) for number in range(100)]
        for future in futures:
            future.result()
    _keys(db)

    db.close()

    assert [entry.name for entry in path.parent.iterdir()] == ["state.db"]
    with Database(path) as again:
        assert len(_keys(again)) == 100


def test_a_closed_database_says_so(path: Path) -> None:
    db = Database(path)
    _keys(db)
    db.close()
    db.close()

    with pytest.raises(StorageError, match="stopping"):
        db.write(_put("late"))
    with pytest.raises(StorageError):
        _keys(db)


def test_a_lock_held_by_another_program_is_a_conflict(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 50)
    with Database(path) as db:
        other = sqlite.writable(path)
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(ConflictError, match="another program"):
            db.write(_put("mine"))
        other.execute("ROLLBACK")
        db.write(_put("mine"))
        other.close()

        assert _keys(db) == ["mine"]


def test_a_missing_or_foreign_file_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "foreign.db").write_bytes(b"not a database" * 100)

    for name in ("absent.db", "foreign.db"):
        with pytest.raises(StorageError):
            Database(tmp_path / name)
    assert not (tmp_path / "absent.db").exists()


_FILL = """
import sys
from pathlib import Path
from bty_app.errors import StorageError
from bty_app.store.creation import create
from bty_app.store.database import Database
path = Path(sys.argv[1]) / "state.db"
create(path, version="1", at="x")
db = Database(path)
put = "INSERT INTO settings VALUES (?, ?, 'now')"
done = 0
try:
    while True:
        db.write(lambda tx: tx.run(put, f"k{done}", "x" * 50_000))
        done += 1
except StorageError as error:
    print(error.message)
ballast = path.with_name("ballast")
print(done, db.read(lambda tx: tx.value("SELECT count(*) FROM settings")))
ballast.unlink()
db.write(lambda tx: tx.run(put, "room", "again"))
print(db.read(lambda tx: tx.value("PRAGMA integrity_check")))
db.close()
print(sorted(entry.name for entry in path.parent.iterdir()))
"""


def test_a_full_disk_refuses_the_change_and_keeps_the_rest(tmp_path: Path) -> None:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.fail("needs root and unshare: the behaviour on a full disk is not proven here")
    program = tmp_path.with_name("fill.py")
    program.write_text(_FILL)
    script = (
        f"mount -t tmpfs -o size=4m none {tmp_path}"
        f" && head -c 2000000 /dev/zero > {tmp_path}/ballast"
        f" && PYTHONPATH={ROOT} exec {sys.executable} -B {program} {tmp_path}"
    )

    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()

    assert done.returncode == 0, done.stderr
    assert "disk under the state directory is full" in lines[0]
    written, kept = lines[1].split()
    assert int(written) > 5
    assert written == kept
    assert lines[2] == "ok"
    assert lines[3] == "['state.db']"


@pytest.mark.parametrize(("journal", "synchronous"), [(Journal.WAL, 2), (Journal.DELETE, 3)])
def test_the_writers_connection_is_as_durable_as_it_should_be(
    path: Path, journal: Journal, synchronous: int
) -> None:
    with Database(path, journal=journal) as db:
        found = db.write(
            lambda tx: {
                name: tx.value(f"PRAGMA {name}")
                for name in ("journal_mode", "synchronous", "foreign_keys", "mmap_size")
            }
        )

    durable = {"journal_mode": journal.value, "synchronous": synchronous}
    assert found == {**durable, "foreign_keys": 1, "mmap_size": 0}


def test_the_journal_is_its_owner_s_to_choose(path: Path) -> None:
    with Database(path, journal=Journal.DELETE), Database(path) as beside:
        assert beside.write(lambda tx: tx.value("PRAGMA journal_mode")) == "delete"
    with Database(path, journal=Journal.WAL), Database(path) as beside:
        assert beside.write(lambda tx: tx.value("PRAGMA journal_mode")) == "wal"


def test_without_a_log_a_commit_waits_for_who_reads(path: Path) -> None:
    with Database(path, journal=Journal.DELETE) as db, ThreadPoolExecutor(1) as pool:

        def query(tx: Tx) -> object:
            before = tx.value("SELECT count(*) FROM settings")
            done = pool.submit(db.write, _put("meanwhile"))
            with pytest.raises(TimeoutError):
                done.result(0.2)
            assert tx.value("SELECT count(*) FROM settings") == before
            return done

        db.read(query).result(30)  # type: ignore[attr-defined]
        assert _keys(db) == ["meanwhile"]


def test_readers_of_many_threads_each_have_their_own_connection(path: Path) -> None:
    with Database(path) as db:
        barrier = threading.Barrier(4)

        def query(tx: Tx) -> int:
            barrier.wait(10)
            return id(tx._connection)

        with ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(db.read, query) for _ in range(4)]
            connections = {future.result() for future in futures}

    assert len(connections) == 4


def test_where_litestream_replicates_checkpoints_are_left_to_it(tmp_path: Path) -> None:
    """One of ours at the wrong moment gives a replica that restores damaged."""
    path = make_state(tmp_path)
    with Database(path) as db:
        assert db._writer.pragma("wal_autocheckpoint") == replicated.LOG_PAGES
        path.with_name(".state.db-litestream").mkdir()
        db._notice_other_writers()
        assert db._writer.pragma("wal_autocheckpoint") == 0
    with Database(path) as db, hardware.opened(path) as other:
        assert db._writer.pragma("wal_autocheckpoint") == 0
        db.write(lambda tx: tx.run("INSERT INTO settings VALUES ('a', 'b', 'c')"))
        db.close()

        assert path.with_name("state.db-wal").stat().st_size > 0
        assert other.execute("SELECT value FROM settings").fetchall() == [("b",)]


@pytest.mark.parametrize("answers", [True, False])
def test_a_log_that_litestream_does_not_empty_is_emptied_once_that_is_down(
    quick_dir: Path, answers: bool
) -> None:
    path = make_state(quick_dir)
    path.with_name(".state.db-litestream").mkdir()
    with Database(path) as db, closing(socket.socket(socket.AF_UNIX)) as line:
        line.bind(str(path.with_name("litestream.sock")))
        if answers:
            line.listen()
        db.write(lambda tx: tx.run("INSERT INTO settings VALUES ('a', 'b', 'c')"))
        replicated.mind_log(db._writer, path, longest=2**30)
        before = path.stat().st_mtime_ns
        replicated.mind_log(db._writer, path, longest=100)

        assert (path.stat().st_mtime_ns == before) is answers


def test_what_is_refused_is_refused_before_it_is_begun_but_what_is_always_done(
    tmp_path: Path,
) -> None:
    with Database(make_state(tmp_path)) as db:
        db.refuse_when(lambda: "moved")
        with pytest.raises(MovedError, match="moved"):
            db.write(lambda tx: tx.run("INSERT INTO settings VALUES ('a', 'b', 'c')"))
        db.write(lambda tx: tx.run("INSERT INTO settings VALUES ('d', 'e', 'f')"), always=True)

        assert db.read(lambda tx: tx.value("SELECT group_concat(key) FROM settings")) == "d"


@pytest.mark.parametrize("how", ["moved away", "removed", "replaced", "with its directory"])
@pytest.mark.parametrize("journal", list(Journal))
def test_what_would_be_in_no_file_is_not_acknowledged(
    path: Path, tmp_path: Path, how: str, journal: Journal
) -> None:
    """An operator puts a file back under a server: SQLite would go on with the one that is gone."""
    elsewhere = tmp_path.with_name(f"{tmp_path.name}-elsewhere")
    restored = b""
    db = Database(path, journal=journal)
    db.write(_put("before"))
    assert _keys(db) == ["before"]
    if how == "with its directory":
        path.parent.rename(elsewhere)
    elif how == "removed":
        path.unlink()
    else:
        path.rename(tmp_path / "away.db")
        if how == "replaced":
            create(tmp_path / "backup.db", version="1", at=AT)
            restored = (tmp_path / "backup.db").read_bytes()
            (tmp_path / "backup.db").rename(path)

    for _ in range(2):
        with pytest.raises(StorageError, match="was removed or replaced while it was in use"):
            db.write(_put("meanwhile"))
    assert _keys(db) == ["before"], "what was stored is still read"
    with ThreadPoolExecutor(1) as pool, pytest.raises(StorageError, match="was removed or repl"):
        pool.submit(_keys, db).result()

    if how == "moved away":
        (tmp_path / "away.db").rename(path)
        db.write(_put("after"))
        assert _keys(db) == ["after", "before"]
    db.close()
    if how == "replaced":
        assert path.read_bytes() == restored
    if how == "moved away":
        with Database(path) as again:
            assert _keys(again) == ["after", "before"]
    if how == "with its directory":
        elsewhere.rename(path.parent)

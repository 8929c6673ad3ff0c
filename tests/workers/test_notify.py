"""A service manager hears over a real socket when the real server serves, and when it ends."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bty_app.workers.notify import Manager, manager
from tests.fleet_state import Fleet, bind

SECONDS = 30.0


@contextmanager
def listening(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as at:
        at.bind(address)
        at.settimeout(SECONDS)
        yield at


def heard_until(at: socket.socket, word: str) -> list[str]:
    """All that is heard until a message has that word."""
    found: list[str] = []
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        found.append(at.recv(4096).decode())
        if word in found[-1]:
            return found
    raise AssertionError(found)


@contextmanager
def served(state: Path, address: str, *before: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    words = [*before, sys.executable, "-m", "bty_app", "--state-dir", str(state), "serve"]
    words += ["--host", "127.0.0.1", "--port", "0"]
    environment = {**os.environ, "NOTIFY_SOCKET": address, "BTY_CONFIG_DIR": str(state), **more}
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(SECONDS)


def port_of(process: subprocess.Popen[str]) -> str:
    """Where it says that it serves."""
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"serves http://127\.0\.0\.1:(\d+)/", line):
            return found[1]
    raise AssertionError("it says no port")


def heard_so_far(at: socket.socket) -> Iterator[str]:
    at.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            yield at.recv(4096).decode()


def test_a_server_says_that_it_is_ready_when_it_answers_and_that_it_stops(quick_dir: Path) -> None:
    address = str(quick_dir / "notify")
    with listening(address) as at, served(quick_dir / "state", address) as process:
        heard = heard_until(at, "READY=1")
        with urllib.request.urlopen(f"http://127.0.0.1:{port_of(process)}/readyz") as answer:
            assert answer.status == 200
        process.terminate()
        heard_until(at, "STOPPING=1")

    assert heard[0].startswith("STATUS=opening the database")
    assert any(text == "EXTEND_TIMEOUT_USEC=30000000" for text in heard)
    assert heard[-1].startswith("READY=1\nSTATUS=bty ")
    assert process.returncode == 0


def test_a_self_test_changes_nothing_in_the_database(quick_dir: Path) -> None:
    fleet = Fleet(quick_dir / "state").make()
    fleet.write(bind(1))
    address = str(quick_dir / "notify")
    with listening(address) as at, served(fleet.place, address):
        heard_until(at, "READY=1")

    assert fleet.rows("SELECT count(*) FROM machines") == [(1,)]
    assert fleet.rows(
        "SELECT count(*) FROM events WHERE kind LIKE 'pxe%' OR kind LIKE 'plan%'"
    ) == [(0,)]


def test_where_machines_are_kept_to_a_network_the_self_test_is_one_of_them(quick_dir: Path) -> None:
    address = str(quick_dir / "notify")
    networks = {"BTY_SERVER_MACHINE_NETWORKS": "192.0.2.0/24"}
    with listening(address) as at, served(quick_dir / "state", address, **networks):
        heard_until(at, "READY=1")


def test_a_server_that_does_not_answer_itself_is_not_ready(quick_dir: Path) -> None:
    broken = """
import sys
from bty_app.web.ui import login
def fails(self, req, resp): raise OSError("no page")
login.Login.on_get = fails
from bty_app.__main__ import run
run()
"""
    address = str(quick_dir / "notify")
    (quick_dir / "broken.py").write_text(broken)
    words = [sys.executable, str(quick_dir / "broken.py"), "--state-dir", str(quick_dir / "state")]
    words += ["serve", "--host", "127.0.0.1", "--port", "0"]
    root = Path(__file__).parents[2]
    environment = {**os.environ, "NOTIFY_SOCKET": address, "PYTHONPATH": str(root)}
    with listening(address) as at:
        done = subprocess.run(
            words, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        heard = list(heard_so_far(at))

    assert done.returncode == 1
    assert "the self-test failed: GET /ui/login answers 500" in done.stderr
    assert not any("READY=1" in text for text in heard)


def test_an_abstract_address_is_one_as_well(tmp_path: Path) -> None:
    name = f"bty-test-{os.getpid()}-{tmp_path.name}"
    with listening(f"\0{name}") as at:
        Manager(f"@{name}").ready("here")

        assert at.recv(100) == b"READY=1\nSTATUS=here"


def test_without_a_manager_or_with_a_deaf_one_nothing_happens(tmp_path: Path) -> None:
    for nobody in (Manager(), Manager(str(tmp_path / "gone"))):
        with nobody.busy("x"):
            nobody.ready("y")
        nobody.stopping()


def test_what_is_started_from_here_does_not_speak_to_the_manager() -> None:
    environment = {"NOTIFY_SOCKET": "/x", "PATH": "/bin"}

    assert manager(environment).listens
    assert environment == {"PATH": "/bin"}


def test_more_time_is_asked_for_as_long_as_it_takes(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with listening(address) as at, Manager(address, every=0.01).busy("slow"):
        heard = [at.recv(100).decode() for _turn in range(5)]

    assert heard == ["STATUS=slow", *["EXTEND_TIMEOUT_USEC=30000000"] * 4]

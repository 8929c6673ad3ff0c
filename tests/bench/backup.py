"""`python -m tests.bench.backup`: a backup beside commits and booting machines, as JSON.

Measured is how long machines wait for their script, quiet and while a large database is backed up:
both with the same commits, so that what differs is the backup alone.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bty_app.store import creation, sqlite
from tests.bench import figures, programs
from tests.bench.load import ADDRESS

MACHINES = 20_000
ASKED_A_SECOND = 50
_MIB = 1024 * 1024
_AT = "2026-11-22T19:07:18.000000+00:00"


def fill(path: Path, size: int) -> None:
    """A database of about `size` bytes: machines with hardware reports."""
    creation.build_fresh(path, version=_version(), at=_AT)
    connection = sqlite.writable(path, sqlite.Journal.WAL)
    connection.pragma("synchronous", 0)
    each = max(1000, size // MACHINES // 2)
    for first in range(0, MACHINES, 1000):
        with connection:
            for number in range(first, first + 1000):
                text = json.dumps(
                    [{"path": f"{number}-{n}", "v": "x" * 40} for n in range(each // 60)]
                )
                connection.execute(
                    "INSERT INTO machines (mac, boot_mode, created_at, updated_at, known_disks,"
                    " hw_lshw, known_disks_at, hw_lshw_at)"
                    " VALUES (?, 'ipxe-exit', ?, ?, ?, ?, ?, ?)",
                    (_mac(number), _AT, _AT, text, text, _AT, _AT),
                )
    connection.close()


def _version() -> str:
    from bty_app import __version__

    return __version__


def _mac(number: int) -> str:
    return f"02:00:00:{number >> 16:02x}:{(number >> 8) & 255:02x}:{number & 255:02x}"


@contextmanager
def committing(path: Path, per_second: int) -> Iterator[list[int]]:
    """Another program that commits; how many it made is in the list."""
    made, stopped = [0], threading.Event()

    def write() -> None:
        connection = sqlite.writable(path)
        connection.pragma("synchronous", 1)
        due = time.perf_counter()
        while not stopped.is_set():
            connection.execute(
                "INSERT INTO settings VALUES ('bench.count', ?, ?) ON CONFLICT (key) DO UPDATE SET"
                " value = excluded.value",
                (str(made[0]), _AT),
            )
            made[0] += 1
            due += 1 / per_second
            time.sleep(max(0.0, due - time.perf_counter()))
        connection.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield made
    finally:
        stopped.set()
        thread.join()


def asked(port: int, stopped: threading.Event, seconds: float) -> list[float]:
    """How long each machine waited for its script: so many a second, until one of the two."""
    values: list[float] = []
    began = due = time.perf_counter()
    number = 0
    while not stopped.is_set() and time.perf_counter() - began < seconds:
        number += 1
        due += 1 / ASKED_A_SECOND
        time.sleep(max(0.0, due - time.perf_counter()))
        before = time.perf_counter()
        connection = http.client.HTTPConnection(ADDRESS, port, timeout=30)
        connection.request("GET", f"/pxe/{_mac(number % MACHINES)}")
        answer = connection.getresponse()
        answer.read()
        connection.close()
        assert answer.status == 200, answer.status
        values.append(time.perf_counter() - before)
    return values


def measure(place: Path, size: int, commits: int, quiet_seconds: float) -> dict[str, object]:
    """The figures of one run."""
    state = place / "state"
    state.mkdir()
    fill(state / "state.db", size)
    command: Sequence[str] = [sys.executable, "-m", "bty_app", "serve"]
    port = programs._free_port()
    told = programs.environment(state, port) | {
        "PYTHONPATH": str(programs.ROOT),
        "PATH": os.environ["PATH"],
    }
    with programs._running(command, told, port, place) as server:
        cookie = server.log_in()
        with committing(state / "state.db", commits):
            time.sleep(2)
            quiet = asked(port, threading.Event(), quiet_seconds)
        with committing(state / "state.db", commits) as made:
            busy, job, log = _during(server, port, cookie, state)
    before, during = figures.latency(quiet), figures.latency(busy)
    seconds = float(str(job["ended_at"])) - float(str(job["started_at"]))
    return {
        "database_mib": (state / "state.db").stat().st_size // _MIB,
        "status": job["status"],
        "result": job["result"] or job["error"],
        "seconds": round(seconds, 1),
        "commits_a_second_meanwhile": round(made[0] / seconds),
        "largest_log_mib": log // _MIB,
        "quiet": before,
        "during": during,
        "p99_ratio": round(during["p99_ms"] / before["p99_ms"], 2),
        "load": os.getloadavg()[0],
    }


def _during(
    server: programs.Server, port: int, cookie: str, state: Path
) -> tuple[list[float], dict[str, object], int]:
    """Ask until the backup has ended; the job as it ended, and the largest write-ahead log."""
    ended, largest = threading.Event(), [0]
    found: dict[str, object] = {}

    def watch() -> None:
        while not ended.is_set():
            time.sleep(0.3)
            _status, body, _cookie = server.ask("GET", "/api/v1/jobs?kind=backup", cookie=cookie)
            found.update(json.loads(body)["jobs"][0])
            largest[0] = max(largest[0], (state / "state.db-wal").stat().st_size)
            if found["ended_at"]:
                ended.set()

    status, body, _cookie = server.ask("POST", "/api/v1/backups", body={}, cookie=cookie)
    assert status == 202, body
    thread = threading.Thread(target=watch)
    thread.start()
    values = asked(port, ended, 1200)
    thread.join()
    return values, found, largest[0]


def main() -> int:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.backup", description=__doc__)
    parser.add_argument("--mib", type=int, default=1024, help="the size of the database")
    parser.add_argument("--commits", type=int, default=500, help="commits in a second")
    parser.add_argument("--quiet-seconds", type=float, default=20.0)
    parser.add_argument("--scratch", type=Path, default=programs.ROOT / "dist" / "bench")
    args = parser.parse_args()
    args.scratch.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(dir=args.scratch))
    try:
        found = measure(place, args.mib * _MIB, args.commits, args.quiet_seconds)
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    finally:
        shutil.rmtree(place)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m tests.bench.unchanged`: what it costs to find that a backup is not needed, as JSON.

Beside it the cost of the backup that is saved, and how long commits take meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from bty_app import __version__
from bty_app.services.backup_files import BackupPlan, write_backup
from bty_app.services.verify import verify
from bty_app.store import sqlite, unchanged
from tests.bench import figures, programs
from tests.bench.backup import _AT, _MIB, MACHINES, _mac, fill

QUIET_SECONDS = 5.0
_UPSERT = (
    "INSERT INTO settings VALUES ('backup.last_attempt_at', ?, ?)"
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)  # what is kept of backups is no change


@contextmanager
def committing(path: Path, per_second: int) -> Iterator[list[float]]:
    """Another connection that commits what counts as no change; how long each commit took. It has
    begun when the block begins.
    """
    took: list[float] = []
    begun, stopped = threading.Event(), threading.Event()

    def write() -> None:
        connection = sqlite.writable(path)
        due = time.perf_counter()
        while not stopped.is_set():
            before = time.perf_counter()
            connection.execute(_UPSERT, (str(len(took)), _AT))
            took.append(time.perf_counter() - before)
            begun.set()
            due += 1 / per_second
            time.sleep(max(0.0, due - time.perf_counter()))
        connection.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        begun.wait(60)
        yield took
    finally:
        stopped.set()
        thread.join()


def add_events(path: Path, count: int) -> None:
    """An audit log of some age; its chain is not looked at here."""
    connection = sqlite.writable(path)
    connection.pragma("synchronous", 0)
    columns = [row[1] for row in connection.execute("PRAGMA table_info(events)")]
    values = {"ts": _AT, "kind": "netboot.pxe.offered", "subject_kind": "machine"}
    texts = dict.fromkeys(columns, "x" * 40) | values
    del texts["id"]
    if "acknowledged" in texts:
        texts["acknowledged"] = "0"
    marks = ", ".join("?" * len(texts))
    sql = f"INSERT INTO events ({', '.join(texts)}) VALUES ({marks})"
    with connection:
        connection.executemany(sql, (tuple(texts.values()) for _ in range(count)))
    connection.close()


def _timed(work: Callable[[], object]) -> tuple[float, object]:
    began = time.perf_counter()
    found = work()
    return round(time.perf_counter() - began, 3), found


def measure(place: Path, size: int, events: int, commits: int) -> dict[str, object]:
    """The figures of one run."""
    state_db = place / "state.db"
    fill(state_db, size)
    if events:
        add_events(state_db, events)
    plan = BackupPlan("one", "scheduled", __version__, datetime.now(UTC))
    backup, result = _timed(lambda: write_backup(state_db, place / "backups", plan).path)
    assert isinstance(result, Path)
    copy = result / "state.db"
    read_back, _verdict = _timed(lambda: verify(result))
    quiet, same = _timed(lambda: unchanged.same(state_db, copy))
    with committing(state_db, commits) as alone:
        time.sleep(QUIET_SECONDS)
    with committing(state_db, commits) as beside:
        busy, busy_same = _timed(lambda: unchanged.same(state_db, copy))
        log = state_db.with_name("state.db-wal").stat().st_size
    connection = sqlite.writable(state_db)
    connection.execute(
        "UPDATE machines SET last_seen_ip = 'x' WHERE mac = ?", (_mac(MACHINES - 1),)
    )
    connection.close()
    changed, changed_same = _timed(lambda: unchanged.same(state_db, copy))
    return {
        "database_mib": state_db.stat().st_size // _MIB,
        "events": events,
        "backup_seconds": backup,
        "read_back_seconds": read_back,
        "compared_seconds": quiet,
        "compared_to_backup": round(quiet / backup, 2),
        "said_the_same": [same, busy_same, changed_same],
        "compared_beside_commits_seconds": busy,
        "changed_last_row_seconds": changed,
        "log_mib": log // _MIB,
        "commits": figures.latency(alone),
        "commits_beside": figures.latency(beside),
        "load": os.getloadavg()[0],
    }


def main() -> int:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.unchanged", description=__doc__)
    parser.add_argument("--mib", type=int, default=1024, help="the size of the machines' records")
    parser.add_argument("--events", type=int, default=0, help="rows of the audit log")
    parser.add_argument("--commits", type=int, default=200, help="commits in a second")
    parser.add_argument("--scratch", type=Path, default=programs.ROOT / "dist" / "bench")
    args = parser.parse_args()
    args.scratch.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(dir=args.scratch))
    try:
        found = measure(place, args.mib * _MIB, args.events, args.commits)
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    finally:
        shutil.rmtree(place)
    return 0


if __name__ == "__main__":
    sys.exit(main())

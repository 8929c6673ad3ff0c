"""State directories as killed servers leave them: ours, and the original's (CONTRACT 6)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROWS = 32
OLD_VERSION = "0.89.0"
ORIGINAL_VERSION = "0.65.18"

MACHINES = """
CREATE TABLE machines (
    mac TEXT PRIMARY KEY, bty_image_ref TEXT, discovered_at TEXT, last_seen_at TEXT,
    last_seen_ip TEXT, boot_mode TEXT NOT NULL DEFAULT 'ipxe-exit', sanboot_drive TEXT,
    last_flashed_at TEXT, saw_flasher_boot INTEGER NOT NULL DEFAULT 0, known_disks TEXT,
    known_disks_at TEXT, hw_lshw TEXT, hw_lshw_at TEXT, target_disk_serial TEXT,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
CREATE TABLE machine_labels (mac TEXT NOT NULL, label TEXT NOT NULL, PRIMARY KEY (mac, label));
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, ts TEXT NOT NULL, kind TEXT NOT NULL,
    subject_kind TEXT, subject_id TEXT, actor TEXT NOT NULL, source_ip TEXT,
    summary TEXT NOT NULL, details TEXT, acknowledged INTEGER NOT NULL DEFAULT 0);
CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL, updated_at TEXT NOT NULL);
CREATE TABLE bty_version (version TEXT PRIMARY KEY);
"""
CATALOG = """
CREATE TABLE catalog_entries (
    bty_image_ref TEXT PRIMARY KEY, src TEXT NOT NULL UNIQUE, resolved_src TEXT,
    disk_image_sha TEXT, name TEXT NOT NULL, sha_url TEXT, format TEXT, size_bytes INTEGER,
    description TEXT, added_at TEXT NOT NULL);
"""

_WRITER = """
import os, signal, sys
import apsw
path, how, rows = sys.argv[1], sys.argv[2], int(sys.argv[3])
connection = apsw.Connection(path)
connection.pragma("synchronous", 2)
if how == "wal":
    assert connection.pragma("journal_mode", "wal") == "wal"
    connection.pragma("wal_autocheckpoint", rows // 4)
for number in range(rows):
    connection.execute(
        "INSERT INTO machines (mac, boot_mode, hw_lshw, hw_lshw_at, created_at, updated_at)"
        " VALUES (?, 'ipxe-exit', ?, '2026-01-02T03:04:05+00:00', 'x', 'x')",
        ("02:00:00:00:00:%02x" % number, '{"pad": "' + "x" * 1500 + '"}'))
    print(number, flush=True)
if how == "wal":
    # Only the tail of the log is newer than the file: both halves of the state matter.
    connection.wal_checkpoint("main", apsw.SQLITE_CHECKPOINT_PASSIVE)
    connection.pragma("wal_autocheckpoint", 0)
    connection.execute("UPDATE machines SET updated_at = 'later'")
    print("later", flush=True)
if how == "journal":
    # Never acknowledged: half of it is in the file already, and the journal is hot.
    connection.pragma("cache_size", 2)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE machines SET hw_lshw = replace(hw_lshw, 'x', 'y')")
    connection.execute("DELETE FROM machines WHERE mac LIKE '%1'")
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed_writer(state_db: Path, how: str, *, rows: int = ROWS) -> None:
    """Write `rows` machines into `state_db`, and die: "wal" and "journal" leave a hot log."""
    command = [sys.executable, "-c", _WRITER, str(state_db), how, str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    acknowledged = done.stdout.split()
    assert done.returncode == -9, done.stderr
    assert acknowledged[:rows] == [str(number) for number in range(rows)]
    suffix = {"wal": "-wal", "journal": "-journal"}.get(how)
    if suffix:
        assert state_db.with_name(state_db.name + suffix).stat().st_size > 1000


def make_original(state_db: Path, *, version: str | None, catalog: bool = True) -> None:
    """An empty database with the original's schema; `version` None leaves the marker out."""
    import apsw

    connection = apsw.Connection(str(state_db))
    connection.execute(MACHINES + (CATALOG if catalog else ""))
    if version is None:
        connection.execute("DROP TABLE bty_version")
    else:
        connection.execute("INSERT INTO bty_version VALUES (?)", (version,))
    connection.executemany(
        "INSERT INTO settings VALUES (?, ?, 'x')",
        [("backup.enabled", "1"), ("display.timezone", "Europe/Berlin"), ("page.rows", "50")],
    )
    connection.close()

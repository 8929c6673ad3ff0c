"""A `state.db` as the original leaves it: rollback journal, no strict tables (CONTRACT 6)."""

from __future__ import annotations

from pathlib import Path

import apsw

SCHEMA = """
CREATE TABLE bty_version (version TEXT PRIMARY KEY);
CREATE TABLE machines (
    mac TEXT PRIMARY KEY, bty_image_ref TEXT, discovered_at TEXT, last_seen_at TEXT,
    last_seen_ip TEXT, boot_mode TEXT NOT NULL DEFAULT 'ipxe-exit', sanboot_drive TEXT,
    last_flashed_at TEXT, saw_flasher_boot INTEGER NOT NULL DEFAULT 0, known_disks TEXT,
    known_disks_at TEXT, hw_lshw TEXT, hw_lshw_at TEXT, target_disk_serial TEXT,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL
);
CREATE TABLE machine_labels (mac TEXT, label TEXT, PRIMARY KEY (mac, label));
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, ts TEXT, kind TEXT, subject_kind TEXT, subject_id TEXT,
    actor TEXT, source_ip TEXT, summary TEXT, details TEXT, acknowledged INTEGER DEFAULT 0
);
CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT, updated_at TEXT);
"""
AT = "2026-05-24T08:00:00.123456+00:00"


def connect(path: Path) -> apsw.Connection:
    """A connection as the original's own."""
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(5000)
    return connection


def make_original(state_dir: Path, machines: list[tuple[object, ...]], version: str) -> Path:
    """Make `state.db` with (mac, known_disks, known_disks_at, hw_lshw, hw_lshw_at) rows."""
    state_dir.mkdir(parents=True, exist_ok=True)
    path = state_dir / "state.db"
    connection = connect(path)
    connection.execute(SCHEMA)
    connection.execute("INSERT INTO bty_version VALUES (?)", (version,))
    add_machines(connection, machines)
    connection.close()
    return path


def add_machines(connection: apsw.Connection, machines: list[tuple[object, ...]]) -> None:
    """Insert rows as the original stores them: whatever they are."""
    connection.executemany(
        "INSERT INTO machines (mac, known_disks, known_disks_at, hw_lshw, hw_lshw_at, created_at,"
        f" updated_at) VALUES (?, ?, ?, ?, ?, '{AT}', '{AT}')",
        machines,
    )

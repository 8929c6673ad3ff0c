"""Connections as all of ours are, and what SQLite's failures mean."""

from __future__ import annotations

import time
from pathlib import Path

import apsw

from bty_app.errors import BtyError, ConflictError, StorageError

APPLICATION_ID = 0x62747931  # "bty1", shown by file(1)
SCHEMA_NUMBER = 3
BUSY_TIMEOUT_MS = 5000
LOG_PAGES = 1000
REPLICATED_LOG_PAGES = 65_536  # 256 MiB: a bound for as long as Litestream is down
_RETRY_SECONDS = 0.02


def connect(path: Path, *, flags: int) -> apsw.Connection:
    """Open `path` with the settings that every connection of ours has."""
    connection = apsw.Connection(str(path), flags=flags)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    connection.config(apsw.SQLITE_DBCONFIG_DQS_DDL, 0)
    connection.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
    connection.pragma("mmap_size", 0)  # an I/O error would be a SIGBUS
    connection.pragma("temp_store", 2)  # a read-only host has no /tmp
    connection.pragma("cell_size_check", 1)
    connection.pragma("foreign_keys", 1)
    return connection


def writable(path: Path) -> apsw.Connection:
    """A writing connection to a live database, with write-ahead log and full durability."""
    connection = connect(path, flags=apsw.SQLITE_OPEN_READWRITE)
    if not _in_wal_mode(connection):
        connection.close()
        raise StorageError(
            f"{path}: this file system cannot hold a write-ahead log; use a local disk"
        )
    connection.pragma("synchronous", 2)
    bound_log(connection, path)
    connection.pragma("journal_size_limit", 64 * 1024 * 1024)
    return connection


def is_replicated(path: Path) -> bool:
    """Whether Litestream looks after this database: it has a directory of its own beside it.

    Then checkpoints are its own. One of ours, in the moment in which it changes its locks for one,
    gives a replica that is restored damaged (seen with 0.5.17).
    """
    return path.with_name(f".{path.name}-litestream").is_dir()


def bound_log(connection: apsw.Connection, path: Path) -> None:
    """Have commits empty the write-ahead log at a size that it never has while Litestream works."""
    pages = REPLICATED_LOG_PAGES if is_replicated(path) else LOG_PAGES
    connection.pragma("wal_autocheckpoint", pages)


def readable(path: Path) -> apsw.Connection:
    """A reading connection to a live database (it may have to make the -shm file)."""
    connection = connect(path, flags=apsw.SQLITE_OPEN_READWRITE)
    connection.pragma("query_only", 1)
    return connection


def translated(error: apsw.Error) -> BtyError:
    """What an SQLite failure means to the caller."""
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return ConflictError("the database is busy: another program is writing to it; try again")
    if isinstance(error, apsw.FullError):
        return StorageError("the disk under the state directory is full: nothing was changed")
    if isinstance(error, apsw.ReadOnlyError):
        return StorageError("the state directory is read-only: nothing was changed")
    return StorageError(f"the database cannot be used: {error}")


def _in_wal_mode(connection: apsw.Connection) -> bool:
    """Switch to the write-ahead log. SQLite does not wait here for another that is doing so."""
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            return bool(connection.pragma("journal_mode", "wal") == "wal")
        except apsw.BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_SECONDS)

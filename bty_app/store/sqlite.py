"""Connections as all of ours are, and what SQLite's failures mean."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path

import apsw

from bty_app.errors import BtyError, ConflictError, StorageError
from bty_app.store.replicated import bound_log

APPLICATION_ID = 0x62747931  # "bty1", shown by file(1)
SCHEMA_NUMBER = 3
BUSY_TIMEOUT_MS = 5000
# Without a write-ahead log a commit waits for everybody who reads, and who reads for a commit.
ROLLBACK_BUSY_TIMEOUT_MS = 30_000
_RETRY_SECONDS = 0.02


class Journal(StrEnum):
    """How a database makes a transaction whole: by a log of what is new, or a journal of what was
    before, which a file system without shared memory can hold as well (sqlite.org/wal.html).
    """

    WAL = "wal"
    DELETE = "delete"


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


def writable(path: Path, journal: Journal | None = None) -> apsw.Connection:
    """A writing connection to a live database, with full durability.

    Args:
        path: the file.
        journal: what it has to have from now on. Only the owner of the state directory decides
            that: everybody else takes what is there.

    Raises:
        StorageError: it cannot have that.
        apsw.Error: it cannot be opened.
    """
    connection = connect(path, flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        if journal is not None:
            _set_journal(connection, path, journal)
        adapt(connection)
        bound_log(connection, path)
        connection.pragma("journal_size_limit", 64 * 1024 * 1024)
    except BaseException:
        connection.close()
        raise
    return connection


def has_log(connection: apsw.Connection) -> bool:
    """Whether others may write while this connection reads.

    Raises:
        apsw.Error: the database cannot be read.
    """
    return bool(connection.pragma("journal_mode") == Journal.WAL)


def adapt(connection: apsw.Connection) -> None:
    """Full durability, and patience, as the journal of this database needs them.

    Raises:
        apsw.Error: the database cannot be read.
    """
    if has_log(connection):
        connection.pragma("synchronous", 2)
        return
    # EXTRA: the end of a journal is its removal, which has to last.
    connection.pragma("synchronous", 3)
    connection.set_busy_timeout(ROLLBACK_BUSY_TIMEOUT_MS)


def readable(path: Path) -> apsw.Connection:
    """A reading connection to a live database (it may have to make the -shm file)."""
    connection = connect(path, flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.pragma("query_only", 1)
        adapt(connection)
    except BaseException:
        connection.close()
        raise
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


def _set_journal(connection: apsw.Connection, path: Path, journal: Journal) -> None:
    if has_log(connection) and journal is not Journal.WAL:
        connection.wal_checkpoint("main", apsw.SQLITE_CHECKPOINT_TRUNCATE)  # raises, unlike close
    if _switched(connection, journal):
        return
    if journal is Journal.WAL:
        raise StorageError(
            f"{path}: this file system cannot hold a write-ahead log; use a local disk, or set"
            " tuning.journal (BTY_TUNING_JOURNAL) to delete"
        )
    raise StorageError(f"{path}: its write-ahead log could not be left; nothing was changed")


def _switched(connection: apsw.Connection, journal: Journal) -> bool:
    """SQLite does not wait here for another that is doing the same."""
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            return bool(connection.pragma("journal_mode", journal.value) == journal.value)
        except apsw.BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_SECONDS)

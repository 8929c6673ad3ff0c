"""A fresh database: complete, durable and without sidecars before it has its final name."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import apsw

from bty_app.domain.events import CHAIN_START
from bty_app.errors import ConflictError, StorageError
from bty_app.store import sqlite
from bty_app.store.place import sync_directory

SIDECARS = ("-wal", "-shm", "-journal")
_CACHE_KIB = 16 * 1024  # bounds the memory of a fill of any size: pages above it go to the file


def unfinished(state_db: Path) -> Path:
    """The name under which the successor of `state_db` is built: garbage when found at a start."""
    return state_db.with_name(state_db.name + ".new")


def sidecar(path: Path, suffix: str) -> Path:
    """The file that SQLite keeps beside `path`; one of `SIDECARS`."""
    return path.with_name(path.name + suffix)


def exists(path: Path) -> bool:
    """Is there a name `path`, whatever it leads to?"""
    return os.path.lexists(path)


def build_fresh(
    path: Path,
    *,
    version: str,
    at: str,
    chain_start: str = CHAIN_START,
    fill: Callable[[apsw.Connection], None] | None = None,
) -> None:
    """Make a complete, durable database file at `path`, which must not exist.

    Args:
        path: where; its directory must exist. Nothing stays there after a failure.
        version: the release that is written into it.
        at: when, as the database spells moments.
        chain_start: the chain value that its first event follows.
        fill: writes more in the same transaction.

    Raises:
        ConflictError: there is something at `path`.
        StorageError: it could not be made durable.
    """
    try:
        _make_empty(path)
    except FileExistsError as error:
        raise ConflictError(f"{path}: exists already, and is left as it is") from error
    except OSError as error:
        raise StorageError(f"{path}: cannot be made: {error.strerror}") from error
    try:
        connection = sqlite.connect(path, flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            _fill(connection, version=version, at=at, chain_start=chain_start, more=fill)
        finally:
            connection.close()
    except apsw.Error as error:
        remove_unfinished(path)
        raise sqlite.translated(error) from error
    except OSError as error:
        remove_unfinished(path)
        raise StorageError(f"{path}: cannot be filled: {error.strerror}") from error
    except BaseException:
        remove_unfinished(path)
        raise


def create(
    state_db: Path,
    *,
    version: str,
    at: str,
    chain_start: str = CHAIN_START,
    fill: Callable[[apsw.Connection], None] | None = None,
) -> None:
    """Make a fresh database and give it its name, durably. Call it with `state.lock` held alone.

    Raises:
        ConflictError: there is a database at `state_db`, or a log that belongs to one.
        StorageError: it could not be made durable.
    """
    for path in (state_db, sidecar(state_db, "-wal"), sidecar(state_db, "-journal")):
        if exists(path):
            raise ConflictError(f"{path}: exists already, and is left as it is")
    new = unfinished(state_db)
    remove_unfinished(new)
    build_fresh(new, version=version, at=at, chain_start=chain_start, fill=fill)
    publish(new, state_db)


def publish(new: Path, state_db: Path) -> None:
    """Give the finished file `new` the name `state_db`, in place of what had it, durably.

    Raises:
        StorageError: it may or may not have its name; either way one whole file has.
    """
    try:
        new.rename(state_db)
        sync_directory(state_db.parent)
    except OSError as error:
        raise StorageError(f"{state_db}: cannot be put in place: {error.strerror}") from error


def remove_unfinished(path: Path) -> None:
    """Remove a build that did not come to its end, as far as the disk lets us."""
    for name in (path, *(sidecar(path, suffix) for suffix in SIDECARS)):
        with contextlib.suppress(OSError):  # the next start tries again
            name.unlink()


def _make_empty(path: Path) -> None:
    """An empty file that only its owner may read: SQLite alone would follow the umask."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def _fill(
    connection: apsw.Connection,
    *,
    version: str,
    at: str,
    chain_start: str,
    more: Callable[[apsw.Connection], None] | None,
) -> None:
    connection.pragma("auto_vacuum", 2)  # INCREMENTAL: works only before the first table
    connection.pragma("journal_mode", "delete")
    connection.pragma("synchronous", 3)  # EXTRA
    connection.pragma("cache_size", -_CACHE_KIB)
    connection.execute("BEGIN EXCLUSIVE")
    connection.pragma("application_id", sqlite.APPLICATION_ID)
    connection.pragma("user_version", sqlite.SCHEMA_NUMBER)
    connection.execute(schema())
    connection.execute("INSERT INTO bty_version (version) VALUES (?)", (version,))
    connection.executemany(
        "INSERT INTO bty_instance (key, value) VALUES (?, ?)",
        {
            "instance_id": str(uuid.uuid4()),
            "created_at": at,
            "chain_start": chain_start,
            "rotations": "0",
        }.items(),
    )
    if more is not None:
        more(connection)
    connection.execute("COMMIT")
    found = " ".join(str(connection.pragma("quick_check")).split())
    if found != "ok":
        raise StorageError(
            f"the database just written does not read back whole ({found[:80]}):"
            " nothing was changed; check the disk"
        )


def schema() -> str:
    """The text of schema.sql, also from inside the single file."""
    return files("bty_app.store").joinpath("schema.sql").read_text(encoding="utf-8")

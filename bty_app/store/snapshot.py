"""A copy of a live database: one file, complete, as it was at one moment."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import apsw

from bty_app.errors import ConflictError, StorageError
from bty_app.store import hardware, sqlite

_PAGES_A_STEP = 256
_PAUSE_SECONDS = 0.002  # lets the server's own threads in between two steps
_BUSY_SECONDS = 10.0

Progress = Callable[[int, int], None]


class CopyCancelledError(ConflictError):
    """The copy was given up on request; nothing of it is left."""


def copy(
    source: Path,
    destination: Path,
    *,
    on_progress: Progress = lambda _done, _total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """Copy the database file `source` to `destination`, which must not exist, while others write.

    Raises:
        NotFoundError: there is no `source`.
        CopyCancelledError: `cancelled()` became true.
        StorageError: the copy could not be made, or is not sound; nothing of it is left.
    """
    with hardware.opened(source) as connection:
        copy_from(connection, destination, on_progress=on_progress, cancelled=cancelled)


def copy_from(
    connection: apsw.Connection,
    destination: Path,
    *,
    on_progress: Progress = lambda _done, _total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """Copy what `connection` sees; it must not be inside a transaction that writes.

    The view is held for the whole copy, so that a steady writer cannot make it begin anew.

    Raises:
        CopyCancelledError: `cancelled()` became true.
        StorageError: the copy could not be made, or is not sound; nothing of it is left.
    """
    flags = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_RDWR | os.O_CLOEXEC
    try:
        os.close(os.open(destination, flags, 0o600))
    except OSError as error:
        raise StorageError(f"{destination}: cannot be made: {error.strerror}") from error
    try:
        with hardware.snapshot(connection):
            _copy_pages(connection, destination, on_progress, cancelled)
    except apsw.Error as error:
        _remove(destination)
        raise sqlite.translated(error) from error
    except BaseException:
        _remove(destination)
        raise


def _copy_pages(
    connection: apsw.Connection,
    destination: Path,
    on_progress: Progress,
    cancelled: Callable[[], bool],
) -> None:
    target = sqlite.connect(
        destination, flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW
    )
    try:
        target.pragma("synchronous", 3)
        backup = target.backup("main", connection, "main")
        try:
            _step_through(backup, on_progress, cancelled)
            backup.finish()
        except BaseException:
            backup.close(True)
            raise
        # The header still says write-ahead log, which a read-only medium could not open.
        target.pragma("journal_mode", "delete")
        found = " ".join(str(target.pragma("quick_check")).split())
        if found != "ok":
            raise StorageError(f"the copy of the database is not sound: {found[:80]}")
    finally:
        target.close()


def _step_through(
    backup: apsw.Backup, on_progress: Progress, cancelled: Callable[[], bool]
) -> None:
    deadline = time.monotonic() + _BUSY_SECONDS
    while not backup.done:
        if cancelled():
            raise CopyCancelledError("the copy of the database was cancelled")
        try:
            backup.step(_PAGES_A_STEP)
        except (apsw.BusyError, apsw.LockedError):
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_SECONDS * 10)
            continue
        deadline = time.monotonic() + _BUSY_SECONDS
        on_progress(backup.page_count - backup.remaining, backup.page_count)
        time.sleep(_PAUSE_SECONDS)


def _remove(destination: Path) -> None:
    for suffix in ("", "-journal", "-wal", "-shm"):
        with contextlib.suppress(OSError):  # mostly there is none
            destination.with_name(destination.name + suffix).unlink()

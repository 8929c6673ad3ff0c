"""A copy of a live database: one file, complete, as it was at one moment."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import apsw

from bty_app.errors import ConflictError, StorageError
from bty_app.store import hardware, sqlite

_PAGES_A_STEP = 256
_PAGES_A_LONG_STEP = 4096  # where commits wait for the copy
_PAUSE_SECONDS = 0.002  # lets others in between two steps, to the processor and to the disk
_BUSY_SECONDS = 10.0
# What was copied goes to the disk little by little: at the end, in one piece, it would keep the
# commits of the server waiting behind it.
_FLUSH_BYTES = 4 * 1024 * 1024
# While the view is held the write-ahead log only grows.
_PIN_SECONDS = 60.0
_PIN_BYTES_A_SECOND = 4 * 1024 * 1024
_LOG_BYTES = 64 * 1024 * 1024
_LOG_FACTOR = 4

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
    on_copied: Callable[[], None] = lambda: None,
) -> None:
    """Copy what `connection` sees; it must not be inside a transaction that writes.

    The view is held for the whole copy, so that a steady writer cannot make it begin anew; how long
    that may take, and how far the write-ahead log may grow meanwhile, is bounded. Without such a
    log the writers wait: then it goes as fast as it can, and to the disk after that.

    Args:
        connection: a transaction that is open serves, and stays open.
        destination: the file, which must not exist.
        on_progress: told the pages that are copied, and all.
        cancelled: asked at each step.
        on_copied: called when the view is not needed any more for the copy; it may end it.

    Raises:
        CopyCancelledError: `cancelled()` became true.
        StorageError: the copy could not be made, or is not sound; nothing of it is left.
    """
    descriptor = _new_file(destination)
    try:
        run = _Run(on_progress, cancelled, descriptor, is_alone=not sqlite.has_log(connection))
        _copy(connection, destination, run, on_copied)
    except apsw.Error as error:
        _remove(destination)
        raise sqlite.translated(error) from error
    except OSError as error:
        _remove(destination)
        raise StorageError(f"{destination}: cannot be written: {error.strerror}") from error
    except BaseException:
        _remove(destination)
        raise
    finally:
        os.close(descriptor)  # not before SQLite has closed it: that would drop the locks on it


def _new_file(destination: Path) -> int:
    flags = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_RDWR | os.O_CLOEXEC
    try:
        return os.open(destination, flags, 0o600)
    except OSError as error:
        raise StorageError(f"{destination}: cannot be made: {error.strerror}") from error


@dataclass(slots=True)
class _Run:
    """One copy on its way."""

    on_progress: Progress
    cancelled: Callable[[], bool]
    descriptor: int
    is_alone: bool
    begun: float = field(default_factory=time.monotonic)
    flushed: int = 0

    def check(self, connection: apsw.Connection, size: int) -> None:
        """Is it still wanted, and within its bounds?"""
        if self.cancelled():
            raise CopyCancelledError("the copy of the database was cancelled")
        seconds = time.monotonic() - self.begun
        if seconds > _PIN_SECONDS + size / _PIN_BYTES_A_SECOND:
            raise StorageError(
                f"the copy of the database was given up after {seconds:.0f} s: the disk is too slow"
            )
        if is_log_long(connection, size):
            raise StorageError(
                "the copy of the database was given up: meanwhile"
                f" {_longest(size) // 2**20} MiB were written to it; try again when there is less"
                " to do"
            )

    def took(self, copied: int) -> None:
        """So many bytes are in the copy: bring them to the disk bit by bit."""
        if not self.is_alone and copied - self.flushed >= _FLUSH_BYTES:
            os.fdatasync(self.descriptor)
            self.flushed = copied


def is_log_long(connection: apsw.Connection, size: int) -> bool:
    """Whether so much was written while a view of a database of `size` bytes was held that this
    has to end.
    """
    return _log_size(connection) > _longest(size)


def _longest(size: int) -> int:
    return max(_LOG_BYTES, _LOG_FACTOR * size)


def _log_size(connection: apsw.Connection) -> int:
    try:
        return os.stat(connection.filename_wal).st_size  # noqa: PTH116 - no more than its size
    except OSError:
        return 0


def _copy(
    connection: apsw.Connection, destination: Path, run: _Run, on_copied: Callable[[], None]
) -> None:
    # SQLite refuses links in all of the path: an operator's directory may well be reached by one.
    real = destination.parent.resolve() / destination.name
    target = sqlite.connect(real, flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW)
    try:
        with hardware.snapshot(connection):
            target.pragma("synchronous", 0 if run.is_alone else 3)
            _copy_pages(connection, target, run)
            on_copied()
        os.fsync(run.descriptor)
        target.pragma("synchronous", 3)
        # The header still says write-ahead log, which a read-only medium could not open.
        target.pragma("journal_mode", "delete")
        found = " ".join(str(target.pragma("quick_check")).split())
        if found != "ok":
            raise StorageError(f"the copy of the database is not sound: {found[:80]}")
    finally:
        target.close()


def _copy_pages(connection: apsw.Connection, target: apsw.Connection, run: _Run) -> None:
    backup = target.backup("main", connection, "main")
    try:
        _step_through(connection, backup, run)
        backup.finish()
    except BaseException:
        backup.close(True)
        raise


def _step_through(connection: apsw.Connection, backup: apsw.Backup, run: _Run) -> None:
    page_size = int(str(connection.pragma("page_size")))
    deadline = time.monotonic() + _BUSY_SECONDS
    while not backup.done:
        run.check(connection, backup.page_count * page_size)
        try:
            backup.step(_PAGES_A_LONG_STEP if run.is_alone else _PAGES_A_STEP)
        except (apsw.BusyError, apsw.LockedError):
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_SECONDS * 10)
            continue
        deadline = time.monotonic() + _BUSY_SECONDS
        copied = backup.page_count - backup.remaining
        run.on_progress(copied, backup.page_count)
        run.took(copied * page_size)
        if not run.is_alone:
            time.sleep(_PAUSE_SECONDS)


def _remove(destination: Path) -> None:
    for suffix in ("", "-journal", "-wal", "-shm"):
        with contextlib.suppress(OSError):  # mostly there is none
            destination.with_name(destination.name + suffix).unlink()

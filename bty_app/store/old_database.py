"""A database of any release, opened to be replaced: proven sound, and proven to be ours alone."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import apsw

from bty_app.domain.rotation import Stamp
from bty_app.errors import BtyError, ConflictError, StorageError
from bty_app.store import file_header, sqlite, version
from bty_app.store.creation import exists, sidecar
from bty_app.store.holders import holders, is_open_elsewhere, openers
from bty_app.store.place import free_bytes, size_of

_BUSY_SECONDS = 5.0
_POLL_SECONDS = 0.1
_MIB = 1024 * 1024
_PAGE_ERROR = re.compile(r"unable to get the page\. error code=(\d+)")


class DamagedError(BtyError):
    """SQLite cannot read the file: it is damaged, or no database at all."""

    code = "damaged"


@dataclass(frozen=True, slots=True)
class OldDatabase:
    """`path`, open for writing, so that opening it has finished what its log holds."""

    path: Path
    connection: apsw.Connection

    @classmethod
    @contextmanager
    def opened(cls, path: Path) -> Iterator[OldDatabase]:
        """Open `path`; SQLite errors of the block become sentences.

        Raises:
            DamagedError: it cannot be read.
            ConflictError: others have it open.
            StorageError: the disk refused; nothing was changed.
        """
        try:
            connection = sqlite.connect(path, flags=apsw.SQLITE_OPEN_READWRITE)
            try:
                # What this start does not finish, the log keeps.
                connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
                connection.pragma("synchronous", 3)  # EXTRA
                yield cls(path, connection)
            finally:
                connection.close()
        except apsw.Error as error:
            raise _meaning(path, error) from error

    def stamp(self) -> Stamp:
        """What it says of itself; the first read, which replays or rolls back what is hot."""
        try:
            return version.stamp(self.connection)
        except apsw.SQLError as error:  # a schema that this SQLite cannot parse
            raise DamagedError(f"{self.path.name} cannot be read ({error})") from error

    def take_alone(self) -> None:
        """Empty and remove the log, and lock every other program out until this one closes.

        Raises:
            ConflictError: another program has it open, be it idle.
            StorageError: the log could not be emptied; nothing was changed.
        """
        connection = self.connection
        self.leave_log()
        connection.pragma("locking_mode", "exclusive")
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("COMMIT")  # the lock stays: backups need a source without transaction
        self._wait_for_openers()

    def leave_log(self) -> None:
        """Empty and remove the log: from now on the database has a rollback journal.

        Raises:
            ConflictError: another program has it open.
            StorageError: the log could not be emptied; nothing was changed.
        """
        # The method, unlike the pragma, raises. Leaving the log mode needs all of the file.
        self.connection.wal_checkpoint("main", apsw.SQLITE_CHECKPOINT_TRUNCATE)
        if self.connection.pragma("journal_mode", "delete") != "delete":
            raise ConflictError(_busy(self.path))
        self._remove_empty_log()

    def check(self) -> None:
        """Read it whole.

        Raises:
            DamagedError: it is not sound.
            StorageError: the disk refused; nothing was changed.
        """
        found = " ".join(str(self.connection.pragma("quick_check")).split())
        if found == "ok":
            return
        if is_of_the_disk(found):
            raise StorageError(f"{self.path}: cannot be read; nothing was changed, try again")
        raise DamagedError(f"{self.path.name} is damaged ({found[:120]})")

    def end_transaction(self) -> None:
        """Leave what a reader may have left open."""
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def _remove_empty_log(self) -> None:
        wal = sidecar(self.path, "-wal")
        if not exists(wal):
            return
        if size_of(wal):
            raise StorageError(f"{wal}: could not be emptied; nothing was changed, try again")
        with contextlib.suppress(OSError):  # empty: in nobody's way
            wal.unlink()

    def _wait_for_openers(self) -> None:
        """An idle program has no lock, and would later write into the archive unseen."""
        deadline = time.monotonic() + _BUSY_SECONDS
        while openers(self.path):
            if time.monotonic() > deadline:
                raise ConflictError(_busy(self.path))
            time.sleep(_POLL_SECONDS)


def wait_for_others(path: Path) -> None:
    """Wait a little until no other program has `path` open, wherever it runs. This one must not.

    Raises:
        ConflictError: one still has.
    """
    deadline = time.monotonic() + _BUSY_SECONDS
    while is_open_elsewhere(path):
        if time.monotonic() > deadline:
            raise ConflictError(_busy(path))
        time.sleep(_POLL_SECONDS)


def damage_of(path: Path) -> str:
    """What is wrong with it, read whole; empty for a sound one.

    Raises:
        ConflictError: others have it open.
        StorageError: the disk refused; nothing was changed.
    """
    if not file_header.could_be_database(path):
        # Not even opened: SQLite deletes a log that it cannot use.
        return f"{path.name} is not a database"
    try:
        with OldDatabase.opened(path) as found:
            found.stamp()
            found.check()
    except DamagedError as error:
        return error.message
    return ""


def confirm(path: Path, damage: DamagedError) -> None:
    """Look again: SQLite reports a read that the disk refused once as damage, too.

    Raises:
        StorageError: now it is sound.
    """
    if not damage_of(path):
        raise StorageError(
            f"{damage.message}, and at the second reading it was sound:"
            " nothing was changed; look at the disk, then start again"
        )


def is_of_the_disk(found: str) -> bool:
    """Does what a check of a database says come from the disk, and not from the file?"""
    code = _PAGE_ERROR.search(found)
    if code is None:
        return "disk I/O error" in found
    return int(code[1]) & 0xFF == apsw.SQLITE_IOERR


def _meaning(path: Path, error: apsw.Error) -> BtyError:
    is_damaged = isinstance(error, apsw.NotADBError | apsw.CorruptError | apsw.FormatError)
    if is_damaged or "unsupported file format" in str(error):  # what a garbled header is called
        return DamagedError(f"{path.name} cannot be read ({error})")
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return ConflictError(_busy(path))
    if isinstance(error, apsw.FullError):
        return StorageError(full_disk(path))
    return StorageError(f"{path}: {error}; nothing was changed, try again")


def full_disk(path: Path) -> str:
    """The sentence for a disk without room for what a rotation of `path` needs."""
    log = size_of(sidecar(path, "-wal"))
    needed = size_of(path) + log
    free = ""
    with contextlib.suppress(OSError):
        free = f" and {free_bytes(path.parent) / _MIB:.1f} MiB are free"
    return (
        f"the disk under {path.parent} is full: the database has {size_of(path) / _MIB:.1f} MiB,"
        f" its log {log / _MIB:.1f} MiB{free}; free {needed / _MIB + 1:.0f} MiB and start again;"
        " nothing was changed"
    )


def _busy(path: Path) -> str:
    names = holders(path, sidecar(path, "-wal"), sidecar(path, "-shm"))
    who = ", ".join(names) or "another program, perhaps in a container"
    return f"{path} is in use by {who}: stop it first, then start again; nothing was changed"

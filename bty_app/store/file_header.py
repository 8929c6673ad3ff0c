"""What the first bytes of a database and of its logs say, read before SQLite acts on them.

They are read through SQLite's own file layer: closing any other descriptor of the file would drop
the locks that this process has on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from bty_app.errors import StorageError
from bty_app.store.creation import sidecar
from bty_app.store.place import size_of

# sqlite.org/fileformat2.html: database 1.3, rollback journal 3, write-ahead log 4.1
_DATABASE = b"SQLite format 3\0"
_JOURNAL = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
_LOGS = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")


def could_be_database(state_db: Path) -> bool:
    """Is this a database, or can one of its logs make it one again after a torn write?

    Raises:
        StorageError: it cannot be read.
    """
    if _first(state_db, 16) == _DATABASE:
        return True
    journal, log = sidecar(state_db, "-journal"), sidecar(state_db, "-wal")
    return _first(journal, 8) == _JOURNAL or _first(log, 4) in _LOGS


def is_without_log_mode(state_db: Path) -> bool:
    """Does the header say that this database does not use a write-ahead log?

    SQLite writes that mark after it has removed the log, so both together are not its doing. It
    would replay the log all the same.

    Raises:
        StorageError: it cannot be read.
    """
    header = _first(state_db, 20)
    return header.startswith(_DATABASE) and header[18:] == b"\x01\x01"  # write and read version


def _first(path: Path, count: int) -> bytes:
    if size_of(path) < count:
        return b""
    with file_read(path) as read:
        return read(0, count)


@contextmanager
def file_read(path: Path) -> Iterator[Callable[[int, int], bytes]]:
    """A call that reads so many bytes at a place; fewer where the file ends. A log is opened as a
    database: as a log, SQLite would give it another owner, and with that another time.

    Raises:
        StorageError: it cannot be read.
    """
    size = size_of(path)
    try:
        file = apsw.VFSFile(
            "", str(path), [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READONLY, 0]
        )
        try:

            def read(at: int, count: int) -> bytes:
                count = min(count, size - at)
                return bytes(file.xRead(count, at)) if count > 0 else b""

            yield read
        finally:
            file.xClose()
    except apsw.Error as error:
        raise StorageError(f"{path}: cannot be read: {error}; nothing was changed") from error

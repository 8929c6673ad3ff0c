"""A write-ahead log that was left beside a database which somebody has put back by hand.

SQLite ties the two by their names alone: it would undo what was put back, or mix the two. A
checkpoint is the only writer of a database that has a log, and it begins with the first page of the
log. So a database that is younger than its log, and has another first page, was not written by one.
"""

from __future__ import annotations

import struct
from pathlib import Path

import apsw

from bty_app.errors import ConfigError
from bty_app.store import locks
from bty_app.store.creation import sidecar
from bty_app.store.file_header import file_read
from bty_app.store.place import size_of

LATER_SECONDS = 2.0  # a checkpoint follows its commit at once
# sqlite.org/fileformat2.html 4.1 and 4.2
_HEADER = struct.Struct(">IIIIIIII")
_FRAME = struct.Struct(">IIIIII")
_MAGIC = 0x377F0682


def check(state_db: Path) -> None:
    """See that the log beside `state_db` is its own, as far as one can tell.

    Raises:
        ConfigError: it is not; the sentence names both ways on.
        StorageError: one of the two cannot be read.
    """
    wal = sidecar(state_db, "-wal")
    if not size_of(state_db) or not size_of(wal):
        return
    if _last_change(state_db) <= _last_change(wal) + LATER_SECONDS or _has_its_page(state_db, wal):
        return
    place = state_db.parent
    raise ConfigError(
        f"{state_db} was put there after {wal.name} was written, and SQLite would undo that. If"
        f" you put the database back: move {wal.name} and {state_db.name}-shm out of {place}. If"
        f" you copied the whole directory of a killed server: touch {state_db} {wal}. Then start"
        " again; nothing was changed"
    )


def check_unserved(state_db: Path) -> None:
    """The same for commands: beside a server the log is in use, and its own.

    Raises:
        ConfigError: as `check`.
        StorageError: as `check`.
    """
    if not locks.is_served(state_db.parent):
        check(state_db)


def _last_change(path: Path) -> float:
    found = path.stat()
    return max(found.st_mtime, found.st_ctime)  # `cp -a` sets the first alone


def _has_its_page(state_db: Path, wal: Path) -> bool:
    """Whether the first page that a checkpoint would write is there; also when it writes none."""
    with file_read(wal, apsw.SQLITE_OPEN_WAL) as log:
        head = log(0, _HEADER.size)
        if len(head) < _HEADER.size:
            return True
        magic, _format, page, _number, *salts, _sum1, _sum2 = _HEADER.unpack(head)
        if magic & ~1 != _MAGIC or page < 512:
            return True  # SQLite ignores it
        newest: dict[int, int] = {}
        committed: dict[int, int] = {}
        at = _HEADER.size
        while len(frame := log(at, _FRAME.size)) == _FRAME.size:
            number, is_commit, *own, _sum1, _sum2 = _FRAME.unpack(frame)
            if own != salts:
                break  # of the round before
            newest[number] = at + _FRAME.size
            if is_commit:
                committed.update(newest)
                newest.clear()
            at += _FRAME.size + page
        if not committed:
            return True
        first = min(committed)
        wanted = log(committed[first], page)
    with file_read(state_db, apsw.SQLITE_OPEN_MAIN_DB) as database:
        return database((first - 1) * page, page) == wanted

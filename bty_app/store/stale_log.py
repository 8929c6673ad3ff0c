"""A write-ahead log that was left beside a database which somebody has put back by hand.

SQLite ties the two by their names alone: it would undo what was put back, or mix the two. A
checkpoint is the only writer of a database that has a log, and it begins with the first page of the
log. So a database that is younger than its log, and has another first page, was not written by one.

A clock that was set back looks the same. The time of `serve.lock` is that of the last start that
succeeded: where it is later than the log, or anything is later than now, nothing can be told.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from bty_app.errors import ConfigError
from bty_app.store import locks, log_frames
from bty_app.store.creation import sidecar
from bty_app.store.file_header import file_read
from bty_app.store.place import size_of

LATER_SECONDS = 2.0  # a checkpoint follows its commit at once


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds since 1970: when the two were written and changed last, when a server last started
    on them (0: not known), and now.
    """

    database: float
    database_changed: float
    log: float
    log_changed: float
    started: float
    now: float


def is_younger(at: Times) -> bool:
    """Whether the database was put there after the log was written."""
    # `cp -a` keeps the time of writing. Where the log was copied as well, both were changed then.
    is_log_copied = at.log_changed > at.log + LATER_SECONDS
    put = at.database if is_log_copied else max(at.database, at.database_changed)
    if max(at.started, put) > at.now or at.started > at.log:
        return False  # the clock went back
    return put > at.log + LATER_SECONDS


def check(state_db: Path) -> None:
    """See that the log beside `state_db` is its own, as far as one can tell.

    Raises:
        ConfigError: it is not; the sentence names both ways on.
        StorageError: one of the two cannot be read.
    """
    wal = sidecar(state_db, "-wal")
    if not size_of(state_db) or not size_of(wal):
        return
    if not is_younger(_times(state_db, wal)) or _has_its_page(state_db, wal):
        return
    place = state_db.parent
    raise ConfigError(
        f"{state_db} was put there after {wal.name} was written, and SQLite would undo that. If"
        f" you put the database alone back: move {wal.name} and {state_db.name}-shm out of"
        f" {place}. If you moved or copied the whole directory, log included, the log belongs to"
        f" it: touch {state_db} {wal}. Then start again; nothing was changed"
    )


def check_unserved(state_db: Path) -> None:
    """The same for commands: beside a server the log is in use, and its own.

    Raises:
        ConfigError: as `check`.
        StorageError: as `check`.
    """
    if not locks.is_served(state_db.parent):
        check(state_db)


def _times(state_db: Path, wal: Path) -> Times:
    database, log = state_db.stat(), wal.stat()
    try:
        started = state_db.with_name(locks.SERVE_LOCK).stat().st_mtime
    except OSError:
        started = 0.0
    return Times(
        database.st_mtime,
        database.st_ctime,
        log.st_mtime,
        log.st_ctime,
        started,
        time.time(),
    )


def _has_its_page(state_db: Path, wal: Path) -> bool:
    """Whether the first page that a checkpoint would write is there; also when it writes none."""
    with file_read(wal) as log:
        page, committed = log_frames.committed(log)
        if not committed:
            return True
        first = min(committed)
        wanted = log(committed[first], page)
    with file_read(state_db) as database:
        return database((first - 1) * page, page) == wanted

"""The write-ahead log of a database that Litestream looks after: checkpoints are Litestream's own.

One of ours, in the moment in which it changes its locks for one, gives a replica that is restored
damaged, or ends the replication (seen with 0.5.17, whatever the size at which ours comes).
"""

from __future__ import annotations

import errno
import socket
from contextlib import closing
from pathlib import Path

import apsw

from bty_app.domain.replication import SOCKET_FILE
from bty_app.store.place import size_of

LOG_PAGES = 1000
LONGEST_LOG = 256 * 1024 * 1024  # bytes; a bound for as long as Litestream is down
_NOBODY = {errno.ENOENT, errno.ECONNREFUSED}


def is_replicated(path: Path) -> bool:
    """Whether Litestream looks after this database: it has a directory of its own beside it."""
    return path.with_name(f".{path.name}-litestream").is_dir()


def bound_log(connection: apsw.Connection, path: Path) -> None:
    """Have commits empty the write-ahead log now and then, unless that is Litestream's to do."""
    connection.pragma("wal_autocheckpoint", 0 if is_replicated(path) else LOG_PAGES)


def mind_log(connection: apsw.Connection, path: Path, longest: int = LONGEST_LOG) -> None:
    """Bound the log; and empty one of more than `longest` bytes, which Litestream should have done,
    and is down.

    Raises:
        apsw.Error: it cannot be done now.
    """
    bound_log(connection, path)
    is_long = size_of(path.with_name(f"{path.name}-wal")) > longest
    if is_long and is_replicated(path) and not _is_up(path):
        connection.wal_checkpoint("main", apsw.SQLITE_CHECKPOINT_PASSIVE)


def _is_up(path: Path) -> bool:
    """Whether Litestream listens; where nobody can tell, it does."""
    with closing(socket.socket(socket.AF_UNIX)) as line:
        line.settimeout(1.0)
        try:
            line.connect(str(path.with_name(SOCKET_FILE)))
        except OSError as error:
            return error.errno is not None and error.errno not in _NOBODY
    return True

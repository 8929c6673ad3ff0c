"""The live database for a command beside the server: opened as it is, never made or rotated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import apsw

from bty_app import __version__
from bty_app.errors import ConflictError, NotFoundError
from bty_app.store import locks, move_mark, stale_log
from bty_app.store.database import Database
from bty_app.store.sqlite import connect, translated
from bty_app.store.version import stored_version


@contextmanager
def live_database(state_dir: Path) -> Iterator[Database]:
    """`state.db` in `state_dir`, for as long as the block lasts; a server may run meanwhile.

    Raises:
        NotFoundError: there is no database yet.
        ConflictError: another version wrote it, or it is being replaced right now.
        ConfigError: a log that is not its own was left beside it.
        StorageError: it cannot be opened.
    """
    path = state_dir / "state.db"
    if not path.exists():
        raise NotFoundError(f"{path}: there is no state yet; start `bty serve` once")
    with locks.shared(state_dir):
        stale_log.check_unserved(path)
        _check_version(path)
        with Database(path) as database:
            database.refuse_when(partial(move_mark.refused, state_dir))
            yield database


def _check_version(path: Path) -> None:
    """Refuse a database of another version before anything of it can change (SPEC 16)."""
    try:
        with closing(connect(path, flags=apsw.SQLITE_OPEN_READONLY)) as connection:
            found = stored_version(connection)
    except apsw.Error as error:
        raise translated(error) from error
    if found != __version__:
        raise ConflictError(
            f"{path} is of version {found or 'none'}, this is {__version__}: only `bty serve`"
            " takes over the state of another version"
        )

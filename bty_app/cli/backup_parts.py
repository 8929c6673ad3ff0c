"""What the commands about backups have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bty_app import __version__
from bty_app.cli.live_state import live_database
from bty_app.config import Config
from bty_app.errors import BtyError
from bty_app.services import bundles
from bty_app.services.backups import Backups
from bty_app.store import hardware
from bty_app.store.backup_shelf import Shelf
from bty_app.store.version import stored_version


@contextmanager
def backups_of(config: Config, directory: Path | None = None) -> Iterator[Backups]:
    """The backups of the configured state, in `directory` where that is given. A database of
    another version is only read.

    Raises:
        NotFoundError: there is no database.
        ConflictError: it is being replaced right now.
        StorageError: it cannot be opened.
    """
    place = config.paths.state_dir
    state_db = place / "state.db"
    shelf = Shelf(directory.absolute() if directory else config.paths.backup_dir)
    with bundles.reading(place), hardware.opened(state_db) as connection:
        version = stored_version(connection)
    if version == __version__:
        with live_database(place) as database:
            yield Backups(state_db, shelf, database)
    else:
        with bundles.reading(place):
            yield Backups(state_db, shelf, None)


@contextmanager
def looked_through(
    config: Config, directory: Path | None = None
) -> Iterator[tuple[Backups, BtyError | None]]:
    """The same to look at: where the database cannot be read they are wanted all the more. What
    keeps it from being read comes with them.
    """
    with ExitStack() as stack:
        problem: BtyError | None = None
        try:
            backups = stack.enter_context(backups_of(config, directory))
        except BtyError as error:
            problem = error
            shelf = Shelf(directory.absolute() if directory else config.paths.backup_dir)
            backups = Backups(config.paths.state_dir / "state.db", shelf, None)
        yield backups, problem

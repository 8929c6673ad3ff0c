"""How the state is before an upgrade: its size, the room beside it, and whether it has moved."""

from __future__ import annotations

from pathlib import Path

from bty_app import __version__
from bty_app.config import Config
from bty_app.domain.upgrading import Facts
from bty_app.errors import StorageError
from bty_app.services import bundles
from bty_app.store import carry_over, hardware, move_mark
from bty_app.store.backup_shelf import STATE
from bty_app.store.creation import sidecar
from bty_app.store.place import free_bytes, size_of
from bty_app.store.version import stored_version


def look(config: Config) -> Facts:
    """What the database is, and what is in the way of replacing it.

    Raises:
        NotFoundError: there is no database.
        StorageError: it cannot be read.
    """
    place, backups = config.paths.state_dir, config.paths.backup_dir
    state_db = place / STATE
    with bundles.reading(place), hardware.opened(state_db) as connection:
        version = stored_version(connection) or __version__
        machines = carry_over.row_counts(connection).get("machines", 0)
    return Facts(
        version=version,
        database_bytes=size_of(state_db) + size_of(sidecar(state_db, "-wal")),
        free_bytes=min(_free(place), _free(backups)),
        machines=machines,
        problems=_moved(place),
    )


def _free(directory: Path) -> int:
    standing = next(path for path in (directory, *directory.parents) if path.exists())
    try:
        return free_bytes(standing)
    except OSError as error:
        raise StorageError(f"{standing}: cannot be looked at: {error.strerror}") from error


def _moved(place: Path) -> tuple[str, ...]:
    mark = move_mark.get(place)
    return (f"this appliance has moved to {mark.to or 'another host'}",) if mark else ()

"""Checks of what is kept here: the database, the directories, the catalog."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from bty_app.domain.findings import Finding, Level
from bty_app.domain.rotation import counted
from bty_app.errors import BtyError, ConflictError, NotFoundError
from bty_app.services.health import MIN_FREE_BYTES
from bty_app.services.old_databases import LARGE_BYTES, MANY, room_of
from bty_app.services.premises import Premises
from bty_app.store import catalog as images
from bty_app.store import machines

LOW_BYTES = 256 * 2**20
_MIB = 2**20


def database(premises: Premises) -> Iterator[Finding]:
    """It is there, of this version, and can be read."""
    if premises.unopened is not None:
        yield _unopened(premises.unopened)
    elif premises.database is not None:
        count = premises.database.read(machines.count_all)
        yield Finding(Level.OK, f"the database is of this version and knows {counted(count)}")


def _unopened(error: BtyError) -> Finding:
    match error:
        case NotFoundError():
            return Finding(Level.WARNING, "there is no database yet", "start `bty serve` once")
        case ConflictError():
            remedy = "start `bty serve` of this version, or use the program of that version"
            return Finding(Level.WARNING, error.message, remedy)
        case _:
            return Finding(Level.FAULT, error.message, "`bty verify` says more about it")


def directories(premises: Premises) -> Iterator[Finding]:
    """They can be written, and have room."""
    for name, place in (
        ("state directory", premises.state_dir),
        ("boot directory", premises.files.directory),
    ):
        yield _directory(name, place)


def _directory(name: str, place: Path) -> Finding:
    standing = next(path for path in (place, *place.parents) if os.path.lexists(path))
    if not standing.is_dir():
        where = f"the {name} {place} cannot be: {standing} is not a directory"
        return Finding(Level.FAULT, where, "move that away, or configure another directory")
    if not os.access(standing, os.W_OK | os.X_OK):
        remedy = "give it to the user of the server; if that is not you, run doctor as that user"
        return Finding(Level.FAULT, f"the {name} {place} cannot be written by this user", remedy)
    space = os.statvfs(standing)
    free = space.f_bavail * space.f_frsize
    said = f"the {name} {place} can be written and has {free // _MIB:,} MiB free"
    if free < MIN_FREE_BYTES:
        return Finding(Level.FAULT, f"{said}: nothing more can be recorded", "make room")
    if free < LOW_BYTES:
        return Finding(Level.WARNING, said, "make room")
    return Finding(Level.OK, said)


def old_databases(premises: Premises) -> Iterator[Finding]:
    """The archives of upgrades, which nobody but an operator removes."""
    if not premises.state_dir.is_dir():
        return
    count, size = room_of(premises.state_dir)
    if not count:
        return
    what = "1 old database of an upgrade takes" if count == 1 else f"{count} old databases take"
    said = f"{what} {-(-size // _MIB):,} MiB"
    if count >= MANY or size >= LARGE_BYTES:
        remedy = "`bty recover --list`, or the page Old databases: remove what you need no more"
        yield Finding(Level.NOTE, said, remedy)
    else:
        yield Finding(Level.OK, said)


def catalog(premises: Premises) -> Iterator[Finding]:
    """There is something to flash."""
    if premises.database is None:
        return
    count = premises.database.read(images.count)
    if count:
        yield Finding(Level.OK, f"the catalog has {count:,} image{'' if count == 1 else 's'}")
    else:
        remedy = "follow a catalog with `bty catalog fetch`, or add an image with `bty catalog add`"
        yield Finding(Level.WARNING, "the catalog is empty: nothing can be flashed", remedy)

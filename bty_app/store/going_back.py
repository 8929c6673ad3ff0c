"""Put the database from before an upgrade back, for whatever release it is of.

Our own releases take theirs back by themselves, where no work is lost (`return_ticket.py`); the
original and older ones would archive what they find and begin anew. This is for those, and for an
operator who knows what is left behind. Call it while no server runs; nothing is deleted. A newer
database that is damaged does not keep anybody: see `damaged_newer.py`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import apsw

from bty_app.domain.rotation import counted
from bty_app.errors import ConflictError, NotFoundError
from bty_app.store import (
    damaged_newer,
    file_header,
    hardware,
    locks,
    quarantine,
    return_ticket,
    swap,
)
from bty_app.store.creation import exists, remove_unfinished, unfinished
from bty_app.store.damaged_newer import Damaged
from bty_app.store.directories import disk_failures
from bty_app.store.old_database import DamagedError, OldDatabase, confirm, damage_of
from bty_app.store.publish import sweep
from bty_app.store.return_ticket import Ticket
from bty_app.store.succession import Succession
from bty_app.store.version import stored_version

LOCK_WAIT_SECONDS = 5.0
_STATE = "state.db"


@dataclass(frozen=True, slots=True)
class WayBack:
    """From the database of `newer` to that of `older`, which is in `archive`; `acts` of operators
    would stay behind. There is nothing to do where the two are one. Where the newer one has
    `damage` nobody can count them.
    """

    newer: str
    older: str
    archive: str = ""
    acts: int = 0
    damage: str = ""

    @property
    def is_done(self) -> bool:
        """Whether that database is the one in use."""
        return self.newer == self.older


@dataclass(frozen=True, slots=True)
class _Wish:
    """The release that is wanted, and the running one."""

    wanted: str
    running: str

    def is_met_by(self, version: str) -> bool:
        """Twice in a row must not lead two releases back."""
        return version == self.wanted if self.wanted else version != self.running

    def check(self, way: WayBack, *, anyway: bool) -> None:
        """See that nothing stays behind that an operator did, or that this is wanted `anyway`.

        Raises:
            ConflictError: it is not.
        """
        if anyway or not (way.acts or way.damage):
            return
        if way.damage:
            raise ConflictError(
                f"{way.damage}: what operators have done in it since the upgrade would stay in"
                f" what is set aside: --yes puts the database of {way.older} in its place"
            )
        raise ConflictError(
            f"operators have done {way.acts} things in the database of {way.newer} that"
            f" {way.older} would not know: --yes goes back all the same"
        )


@dataclass(frozen=True, slots=True)
class WentBack:
    """It is back, with so many machines; the newer one is now `archived_as`, or in `set_aside`."""

    way: WayBack
    machines: int = 0
    archived_as: str = ""
    set_aside: str = ""

    @property
    def sentence(self) -> str:
        """For people."""
        way = self.way
        if way.is_done:
            return f"the database is that of {way.older}: there is nothing to do"
        back = f"the database of {way.older} is back, with {counted(self.machines)}"
        if way.damage:
            return f"{back}; {way.damage}: moved to {self.set_aside}. Next: start bty {way.older}"
        left = f"; {way.acts} acts of operators are in that one alone" if way.acts else ""
        return (
            f"{back}; that of {way.newer} is {self.archived_as}{left}. Next: start bty {way.older}"
        )


def look(state_dir: Path, wanted: str = "", *, running: str) -> WayBack:
    """Where `go_back` would lead; a server may run meanwhile, and nothing is changed.

    Raises:
        NotFoundError: there is no database, or no way from it to the release `wanted`.
        ConflictError: it is damaged, and of the release `wanted`.
        StorageError: it cannot be read.
    """
    state_db, wish = state_dir / _STATE, _Wish(wanted, running)
    if exists(state_db) and (problem := hardware.damage_of(state_db)):
        return _way_from(Damaged(state_db, problem), wish)[0]
    with hardware.opened(state_db) as connection:
        return _way(connection, state_db, wish)[0]


def go_back(
    state_dir: Path, wanted: str = "", *, running: str, now: datetime, anyway: bool = False
) -> WentBack:
    """Give the archive that the database came from its place again; durable when it returns.

    Args:
        state_dir: the state directory of a server that is stopped.
        wanted: the release that it must be of; empty: that from which `running` took over.
        running: the release of this program.
        now: names the archive of the newer database.
        anyway: also where acts of operators stay behind.

    Raises:
        NotFoundError: there is no database, or no way from it to that release.
        ConflictError: a server runs, another program has the database open, operators have
            worked with the newer one, or it is damaged, so that nobody knows.
        StorageError: the disk refused. After any of them it may be tried again.
    """
    state_db = state_dir / _STATE
    with (
        locks.serving(state_dir, about=f"pid {os.getpid()}, bty {running} rollback"),
        locks.exclusive(state_dir, wait_seconds=LOCK_WAIT_SECONDS),
    ):
        aside = quarantine.unfinished_plan(state_db)
        swap.finish_swap(state_db)
        sweep(state_dir)
        remove_unfinished(unfinished(state_db))
        wish = _Wish(wanted, running)
        if exists(state_db):
            if aside is not None:  # it was put in place before that was cut off
                quarantine.done(state_db)
            return _replaced(state_db, wish, now, anyway=anyway)
        if aside is not None:
            damaged = Damaged(state_db, aside.problem, aside)
            return _went_from(damaged, wish, now, anyway=anyway)
        raise NotFoundError(f"{state_db}: there is no database here")


def _replaced(state_db: Path, wish: _Wish, now: datetime, *, anyway: bool) -> WentBack:
    if file_header.could_be_database(state_db):
        try:
            with OldDatabase.opened(state_db) as newer:
                return _went(newer, wish, now, anyway=anyway)
        except DamagedError as error:
            confirm(state_db, error)
            problem = error.message
    else:
        problem = damage_of(state_db)
    return _went_from(Damaged(state_db, problem), wish, now, anyway=anyway)


def _went_from(damaged: Damaged, wish: _Wish, now: datetime, *, anyway: bool) -> WentBack:
    way, ticket = _way_from(damaged, wish)
    wish.check(way, anyway=anyway)
    machines, folder = damaged_newer.put_back(damaged, ticket, now)
    return WentBack(way, machines, set_aside=folder)


def _way_from(damaged: Damaged, wish: _Wish) -> tuple[WayBack, Ticket]:
    ticket = damaged_newer.way_from(damaged, wish.is_met_by)
    way = WayBack("unknown", ticket.version, ticket.archive.name, damage=damaged.problem)
    return way, ticket


def _went(newer: OldDatabase, wish: _Wish, now: datetime, *, anyway: bool) -> WentBack:
    newer.stamp()
    way, ticket = _way(newer.connection, newer.path, wish)
    if ticket is None:
        with disk_failures(newer.path):
            swap.drop_second_names(newer.path)
        return WentBack(way)
    wish.check(way, anyway=anyway)
    newer.take_alone()
    newer.check()
    succession = Succession(newer, way.newer, way.older, now, backup_id=None)
    with disk_failures(newer.path):
        archived_as = succession.archive()
    machines = return_ticket.build(succession, ticket, archived_as)
    with disk_failures(newer.path):
        swap.make_private(newer.path)
    swap.swap(newer.path, archived_as, version=way.older)
    return WentBack(way, machines, archived_as.name)


def _way(connection: apsw.Connection, state_db: Path, wish: _Wish) -> tuple[WayBack, Ticket | None]:
    """The way, and the archive; no archive where that release's database is in use."""
    newer = stored_version(connection) or "none"
    if wish.is_met_by(newer):
        return WayBack(newer, newer), None
    ticket = return_ticket.of_any_release(connection, state_db)
    if ticket is None:
        ticket = return_ticket.behind_damage(connection, state_db, wish.is_met_by)
    if ticket is None:
        raise NotFoundError(
            f"{state_db}: the database of {newer} tells of no archive that is here, so there is no"
            " way back; `bty recover ARCHIVE` carries over what another one has"
        )
    if wish.wanted not in {"", ticket.version}:
        raise NotFoundError(
            f"{state_db}: the database of {newer} came from that of {ticket.version}, and not from"
            f" {wish.wanted}"
        )
    return WayBack(newer, ticket.version, ticket.archive.name, ticket.acts), ticket

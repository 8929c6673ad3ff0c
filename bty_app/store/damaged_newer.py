"""The way back from a newer database that is damaged: it is set aside, an archive takes its place.

It cannot be archived, and may not tell which archive it came from: then the newest one counts. The
copy is made before anything moves. Where the two steps behind that are cut off the plan of the
quarantine is there, and whoever looks next goes on from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import apsw

from bty_app.domain.events import Actor, Event, Kind
from bty_app.domain.moments import stamp as moment_text
from bty_app.errors import BtyError, ConflictError, NotFoundError
from bty_app.store import (
    events,
    file_header,
    hardware,
    instance,
    quarantine,
    return_ticket,
    snapshot,
    sqlite,
)
from bty_app.store.creation import publish, remove_unfinished, unfinished
from bty_app.store.database import Tx
from bty_app.store.holders import in_use
from bty_app.store.quarantine import Plan
from bty_app.store.return_ticket import Ticket
from bty_app.store.version import stored_version


@dataclass(frozen=True, slots=True)
class Damaged:
    """The database at `state_db` and what is wrong with it; `aside` where it was moved already."""

    state_db: Path
    problem: str
    aside: Plan | None = None


def way_from(damaged: Damaged, is_wanted: Callable[[str], bool]) -> Ticket:
    """The archive that takes its place, of a release that `is_wanted`; nothing is changed.

    Raises:
        NotFoundError: there is none.
        ConflictError: the damaged one is of such a release itself.
        StorageError: the disk does not let one be read.
    """
    state_db = damaged.state_db
    version, told = (None, None) if damaged.aside else _said(state_db)
    if version is not None and is_wanted(version):
        raise ConflictError(
            f"{damaged.problem}, and it is that of {version} itself: restore a backup, or start"
            f" bty {version}, which sets it aside"
        )
    if told is not None and is_wanted(told.version):
        return told
    found = return_ticket.newest(state_db, is_wanted)
    if found is None:
        raise NotFoundError(
            f"{damaged.problem}, and no sound archive of the release is here that could take its"
            " place: nothing was changed; restore a backup"
        )
    return found


def put_back(damaged: Damaged, ticket: Ticket, now: datetime) -> tuple[int, str]:
    """Set the damaged one aside, and give the archive its place; how many machines that has, and
    where the damaged one is.

    Raises:
        ConflictError: another program has it open; nothing was changed.
        StorageError: the disk refused; nothing was changed, or the next call goes on.
    """
    state_db = damaged.state_db
    files = quarantine.present(state_db)
    if files and (others := in_use(*files)):
        raise ConflictError(f"{damaged.problem}, and {others} has it open: stop that first")
    new = unfinished(state_db)
    try:
        with hardware.opened_archive(ticket.archive) as source:
            snapshot.copy_from(source, new)
            machines = return_ticket.machines_in(source)
        why = ("damaged", damaged.problem)
        plan = damaged.aside or quarantine.set_aside(state_db, files, now=now, why=why)
        if ticket.told:
            _tell(new, ticket, plan, moment_text(now))
    except BaseException as error:
        remove_unfinished(new)
        if isinstance(error, apsw.Error):
            raise sqlite.translated(error) from error
        raise
    publish(new, state_db)
    quarantine.done(state_db)
    return machines, plan.folder


def _said(state_db: Path) -> tuple[str | None, Ticket | None]:
    """The release, and the archive, that a damaged database names; None what it cannot say."""
    version = ticket = None
    if not file_header.could_be_database(state_db):
        return None, None  # not even opened: SQLite deletes a log that it cannot use
    try:
        with hardware.opened(state_db) as connection:
            version = stored_version(connection)
            ticket = return_ticket.of_any_release(connection, state_db)
    except BtyError:  # it is damaged
        pass
    return version, ticket


def _tell(new: Path, ticket: Ticket, plan: Plan, at: str) -> None:
    with return_ticket.checked(new, ticket) as tx:
        rotations = instance.get(tx, "rotations") or "0"
        instance.put(tx, "rotations", str(int(rotations) + 1))
        events.record(tx, _returned(tx, ticket, plan), at=at)


def _returned(tx: Tx, ticket: Ticket, plan: Plan) -> Event:
    return Event(
        Kind.SCHEMA_RETURNED,
        Actor.SYSTEM,
        f"The database of {ticket.version} is back as it was before the upgrade; of the newer one"
        f" nothing is left but {plan.folder}: {plan.problem}",
        details={
            "from_version": None,
            "to_version": ticket.version,
            "returned_from": str(ticket.archive),
            "archived_at": plan.folder,
            "archived_chain": None,
            "machines": int(tx.value("SELECT count(*) FROM machines")),
            "backup_id": None,
            "problem": plan.problem,
        },
    )

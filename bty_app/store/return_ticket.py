"""Going back to an older release brings its database back with it.

An upgrade archives the database, and the fresh one says which archive it came from. When the older
release finds that fresh one, and no operator has done anything with it, the archive becomes the
database again. It is copied: the archive itself stays, and the swap is that of every rotation.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import apsw

from bty_app.domain.events import Actor, Event, Kind
from bty_app.domain.moments import stamp as moment_text
from bty_app.domain.rotation import Stamp, is_archive_name, is_newer, moment_in
from bty_app.errors import NotFoundError, StorageError
from bty_app.store import (
    carry_over,
    events,
    hardware,
    instance,
    old_rows,
    snapshot,
    sqlite,
    swap,
    version,
)
from bty_app.store.creation import remove_unfinished, unfinished
from bty_app.store.database import Tx
from bty_app.store.old_database import is_of_the_disk
from bty_app.store.succession import Succession, backed_up
from bty_app.store.transaction import transaction

# To come in and look around is no act that could be lost.
_LOOKING = (
    Kind.LOGIN_SUCCEEDED.value,
    Kind.LOGIN_FAILED.value,
    Kind.LOGOUT.value,
    Kind.SESSIONS_REVOKED.value,
    Kind.TOKEN_FAILED.value,
)


@dataclass(frozen=True, slots=True)
class Ticket:
    """The archive that a newer database came from, of the release `version`, and how many acts of
    operators the newer one has seen since. `told`: the archive can be told what happened, since its
    tables are ours.
    """

    archive: Path
    acts: int
    version: str = ""
    told: bool = True

    @property
    def is_valid(self) -> bool:
        """Whether going back loses nothing that anybody did."""
        return self.acts == 0


def find(newer: apsw.Connection, state_db: Path, found: str, running: Stamp) -> Ticket | None:
    """The way back from the database of release `found`; None when there is none.

    Raises:
        apsw.Error: the newer database cannot be read.
    """
    if running.version is None or not is_newer(found, running.version):
        return None
    return _found(newer, state_db, running)


def of_any_release(newer: apsw.Connection, state_db: Path) -> Ticket | None:
    """The way back to whatever release the database came from; None when there is none.

    Raises:
        apsw.Error: the newer database cannot be read.
        StorageError: the disk does not let the archive be read.
    """
    return _found(newer, state_db, None)


def behind_damage(
    newer: apsw.Connection, state_db: Path, is_wanted: Callable[[str], bool]
) -> Ticket | None:
    """The way back from a database that was made in place of a damaged one, which alone knew of its
    archive: the newest archive of a release that `is_wanted`.

    Raises:
        As `of_any_release`.
    """
    reset = _reset_event(newer)
    if reset is None or not reset[1].get("problem"):
        return None
    ticket = newest(state_db, is_wanted)
    return replace(ticket, acts=_acts(newer, reset[0])) if ticket else None


def newest(state_db: Path, is_wanted: Callable[[str], bool]) -> Ticket | None:
    """The newest sound archive of a release that `is_wanted`, whatever is done with `state_db`.

    Raises:
        StorageError: the disk does not let one be read.
    """
    try:
        names = [path.name for path in state_db.parent.iterdir() if is_archive_name(path.name)]
    except OSError as error:
        raise StorageError(f"{state_db.parent}: cannot be read: {error.strerror}") from error
    for name in sorted(names, key=moment_in, reverse=True):
        archive = state_db.with_name(name)
        if not any(_is_it(archive, None, None) for _ in range(2)):
            continue
        ticket = _ticket(archive, 0)
        if is_wanted(ticket.version):
            return ticket
    return None


def _found(newer: apsw.Connection, state_db: Path, running: Stamp | None) -> Ticket | None:
    name = carry_over.instance_value(newer, swap.PREDECESSOR)
    if name is None or not is_archive_name(name):
        return None
    archive = state_db.with_name(name)
    reset = _reset_event(newer)
    # Twice: SQLite takes a read that the disk refused once for damage, too.
    if reset is None or not any(_is_it(archive, reset[1], running) for _ in range(2)):
        return None
    acts = _acts(newer, reset[0])
    if running is not None:
        return Ticket(archive, acts, running.version or "")
    return _ticket(archive, acts)


def _ticket(archive: Path, acts: int) -> Ticket:
    with hardware.opened_archive(archive) as connection:
        found = version.stamp(connection)
        return Ticket(archive, acts, found.version or "", _can_be_told(connection, found))


def _can_be_told(archive: apsw.Connection, found: Stamp) -> bool:
    """Whether this release may write an event into it: older tables stay as they are."""
    ours = (found.application_id, found.schema_number) == (
        sqlite.APPLICATION_ID,
        sqlite.SCHEMA_NUMBER,
    )
    return ours and "chain" in old_rows.columns(archive, "events")


def build(succession: Succession, ticket: Ticket, archived_as: Path) -> int:
    """Build the database that comes back beside the newer one; return how many machines it has.

    Raises:
        StorageError: the disk refused; nothing was changed.
    """
    new = unfinished(succession.old.path)
    try:
        with hardware.opened_archive(ticket.archive) as source:
            snapshot.copy_from(source, new)
            if not ticket.told:
                return machines_in(source)
        return _told(new, succession, ticket, archived_as)
    except BaseException as error:
        remove_unfinished(new)
        if isinstance(error, apsw.Error):
            raise sqlite.translated(error) from error
        raise


def machines_in(archive: apsw.Connection) -> int:
    """How many machines a database has, of whatever release."""
    return carry_over.row_counts(archive).get("machines", 0)


def _told(new: Path, succession: Succession, ticket: Ticket, archived_as: Path) -> int:
    """It goes on, and says what happened."""
    with checked(new, ticket) as tx:
        at = moment_text(succession.now)
        _, rotations = carry_over.identity(succession.old.connection)
        instance.put(tx, "rotations", str(rotations + 1))
        instance.put(tx, swap.PREDECESSOR, archived_as.name)
        if succession.backup_id:
            events.record(tx, backed_up(succession.backup_id), at=at)
        machines = int(tx.value("SELECT count(*) FROM machines"))
        events.record(tx, _returned(succession, ticket, archived_as, machines), at=at)
    return machines


@contextmanager
def checked(new: Path, ticket: Ticket) -> Iterator[Tx]:
    """One transaction on the copy of the archive, which is sound behind it.

    Raises:
        apsw.Error, StorageError: it could not be made durable, or is not sound.
    """
    connection = sqlite.connect(new, flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.pragma("synchronous", 3)  # EXTRA
        with transaction(connection) as tx:
            yield tx
        found = " ".join(str(connection.pragma("quick_check")).split())
        if found != "ok":
            raise StorageError(f"the copy of {ticket.archive.name} is not sound ({found[:80]})")
    finally:
        connection.close()


def _returned(succession: Succession, ticket: Ticket, archived_as: Path, machines: int) -> Event:
    acts = (
        f"{ticket.acts} acts of operators stay behind"
        if ticket.acts
        else "nobody had done anything"
    )
    return Event(
        Kind.SCHEMA_RETURNED,
        Actor.SYSTEM,
        f"The database of {succession.to_version} is back as it was before the upgrade to"
        f" {succession.from_version}, in which {acts}; that one is archived as {archived_as.name}",
        details={
            "from_version": succession.from_version,
            "to_version": succession.to_version,
            "returned_from": str(ticket.archive),
            "archived_at": str(archived_as),
            "archived_chain": carry_over.last_chain_value(succession.old.connection),
            "machines": machines,
            "backup_id": succession.backup_id,
        },
    )


def _reset_event(newer: apsw.Connection) -> tuple[int, dict[str, object]] | None:
    """The id and the details of the event that tells of the newest archive."""
    if not {"id", "kind", "actor", "details"} <= old_rows.columns(newer, "events"):
        return None
    sql = "SELECT id, details FROM events WHERE kind = ? ORDER BY id DESC LIMIT 1"
    for event_id, details in newer.execute(sql, (Kind.SCHEMA_RESET.value,)):
        try:
            value = json.loads(str(details))
        except ValueError:
            return None
        if isinstance(value, dict):
            return int(str(event_id)), value
    return None


def _is_it(archive: Path, told: dict[str, object] | None, running: Stamp | None) -> bool:
    """Is this the file that the event tells of, if one does, sound, and of the running release, if
    that is asked?

    Raises:
        StorageError: the disk does not let it be read: nobody knows, and nothing was changed.
    """
    try:
        status = archive.lstat()
        with hardware.opened_archive(archive) as connection:
            is_it = told is None or _is_told_of(connection, status, told)
            return is_it and _is_whole(connection, running)
    except (FileNotFoundError, NotFoundError):
        return False
    except OSError as error:
        raise StorageError(f"{archive}: cannot be read: {error.strerror}") from error
    except StorageError as error:
        if isinstance(error.__cause__, apsw.NotADBError | apsw.CorruptError | apsw.SQLError):
            return False  # then a fresh database is the better one
        raise


def _is_told_of(archive: apsw.Connection, status: os.stat_result, told: dict[str, object]) -> bool:
    """The same file; or a copy of it, which ends with the same link of the audit chain, or has as
    many rows where it has no chain.
    """
    chain = carry_over.last_chain_value(archive)
    same = told.get("archived_inode") == status.st_ino
    if chain is None:
        same = same or told.get("rows") == carry_over.row_counts(archive)
    else:
        same = same or told.get("archived_chain") == chain
    return same and told.get("archived_bytes") == status.st_size


def _is_whole(archive: apsw.Connection, running: Stamp | None) -> bool:
    stamp = version.stamp(archive)
    if stamp.version is None or running not in {None, stamp}:
        return False
    found = " ".join(str(archive.pragma("quick_check")).split())
    if is_of_the_disk(found):
        raise StorageError(f"the archive of {stamp.version} cannot be read: try again")
    return found == "ok"


def _acts(newer: apsw.Connection, reset_id: int) -> int:
    marks = ", ".join("?" * len(_LOOKING))
    sql = f"SELECT count(*) FROM events WHERE id > ? AND actor = ? AND kind NOT IN ({marks})"
    values = (reset_id, Actor.OPERATOR.value, *_LOOKING)
    return int(str(newer.execute(sql, values).fetchall()[0][0]))

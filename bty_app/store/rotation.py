"""Open the state directory for a server: keep, create, rotate or set aside its database.

At every moment there is a whole database under one name or the other: the old file gets its second
name before the new one, complete and durable, takes the first; and no log is removed that SQLite
itself has not emptied. Every step may be cut off: the next start does it again, or finishes it.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import apsw

from bty_app.domain.events import Actor, Event, Kind
from bty_app.domain.moments import stamp as moment_text
from bty_app.domain.rotation import Stamp, Verdict, counted, verdict
from bty_app.errors import BtyError, ConfigError, ConflictError, StorageError
from bty_app.store import (
    events,
    file_header,
    locks,
    quarantine,
    return_ticket,
    sqlite,
    stale_log,
    swap,
)
from bty_app.store.creation import (
    build_fresh,
    exists,
    publish,
    remove_unfinished,
    sidecar,
    unfinished,
)
from bty_app.store.database import Tx
from bty_app.store.holders import in_use
from bty_app.store.old_database import DamagedError, OldDatabase, confirm, wait_for_others
from bty_app.store.place import check_file_system, size_of
from bty_app.store.publish import sweep
from bty_app.store.sqlite import Journal
from bty_app.store.succession import Succession

STATE_FILE = "state.db"
LOCK_WAIT_SECONDS = 5.0
_LOG_OF_ANOTHER = "log-of-another-database"

Backup = Callable[[apsw.Connection], str]


class Outcome(StrEnum):
    """What a start found and did."""

    OPENED = "opened"
    CREATED = "created"
    ROTATED = "rotated"
    RETURNED = "returned"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class Opening:
    """What happened. `set_aside` is a directory of evidence, `archive` a file name."""

    outcome: Outcome
    archive: str | None = None
    from_version: str | None = None
    machines: int = 0
    backup_id: str | None = None
    set_aside: str | None = None
    problem: str | None = None

    @property
    def sentence(self) -> str:
        """One line for the operator; empty when there is nothing to say."""
        if self.outcome is Outcome.ROTATED:
            return (
                f"the database of {self.from_version} is archived as {self.archive}"
                f" (backup {self.backup_id or 'not taken'}); a fresh one holds the hardware of"
                f" {counted(self.machines)}{self._aside()}"
            )
        if self.outcome is Outcome.RETURNED:
            return (
                f"this release's own database is back, with {counted(self.machines)}; that of"
                f" {self.from_version} is archived as {self.archive}"
                f" (backup {self.backup_id or 'not taken'}){self._aside()}"
            )
        if self.outcome is Outcome.QUARANTINED:
            return f"{self.problem}: moved to {self.set_aside}; the server has a fresh database"
        if self.outcome is Outcome.CREATED:
            return f"a fresh database was made{self._aside()}"
        return self._aside().removeprefix("; ")

    def _aside(self) -> str:
        return f"; {self.problem}: moved to {self.set_aside}" if self.set_aside else ""


def open_state(
    state_dir: Path,
    *,
    version: str,
    now: datetime,
    backup: Backup | None,
    journal: Journal = Journal.WAL,
) -> Opening:
    """Make `state_dir/state.db` a database of `version`; call it with `serve.lock` held.

    Args:
        state_dir: the state directory; it must exist.
        version: the running release.
        now: names archives, and stands in the fresh database.
        backup: called with the old database, open and nobody else's, before it is replaced; gives
            the id of the backup. Its failure refuses the start.
        journal: what the database is to have; a write-ahead log begins when it is opened to be
            used.

    Raises:
        ConflictError: another program has the database open; the sentence says which.
        ConfigError: the directory, or what stands at `state.db`, cannot be used at all.
        StorageError: the disk refused. After any of them a start may be tried again.
    """
    if journal is Journal.WAL:
        check_file_system(state_dir)
    with locks.exclusive(state_dir, wait_seconds=LOCK_WAIT_SECONDS):
        opening = _Start(state_dir / STATE_FILE, version, now, backup).run()
        if journal is Journal.DELETE:
            with OldDatabase.opened(state_dir / STATE_FILE) as present:
                present.leave_log()
        for name in (STATE_FILE, locks.SERVE_LOCK):  # from now on older than the log
            with contextlib.suppress(OSError):
                os.utime(state_dir / name)
        return opening


@dataclass(frozen=True, slots=True)
class _Start:
    state_db: Path
    version: str
    now: datetime
    backup: Backup | None

    def run(self) -> Opening:
        aside = quarantine.unfinished_plan(self.state_db)
        swap.finish_swap(self.state_db)
        sweep(self.state_db.parent)
        remove_unfinished(unfinished(self.state_db))
        _check_kind(self.state_db)
        if aside is None:
            aside = self._set_strange_logs_aside()
        if aside is not None:
            return self._after_setting_aside(aside)
        if not size_of(self.state_db):
            self._fresh()
            return Opening(Outcome.CREATED)
        if not file_header.could_be_database(self.state_db):
            # Not even opened: SQLite deletes a log that it cannot use.
            return self._replace_damaged(f"{STATE_FILE} is not a database")
        try:
            return self._open()
        except DamagedError as error:
            confirm(self.state_db, error)
            return self._replace_damaged(error.message)

    def _open(self) -> Opening:
        with OldDatabase.opened(self.state_db) as old:
            found = old.stamp()
            running = Stamp(self.version, sqlite.APPLICATION_ID, sqlite.SCHEMA_NUMBER)
            wanted = verdict(found, running)
        if wanted is Verdict.KEEP:
            with _disk_errors(self.state_db):
                swap.drop_second_names(self.state_db)
            return Opening(Outcome.OPENED)
        wait_for_others(self.state_db)
        with OldDatabase.opened(self.state_db) as old:
            old.take_alone()
            if wanted is Verdict.ROTATE:
                return self._rotate(old, found.version or "")
            self._fresh()
            return Opening(Outcome.CREATED)

    def _rotate(self, old: OldDatabase, from_version: str) -> Opening:
        old.check()
        running = Stamp(self.version, sqlite.APPLICATION_ID, sqlite.SCHEMA_NUMBER)
        ticket = return_ticket.find(old.connection, self.state_db, from_version, running)
        backup_id = self._back_up(old)
        succession = Succession(
            old=old,
            from_version=from_version,
            to_version=self.version,
            now=self.now,
            backup_id=backup_id,
            left=ticket.archive if ticket and not ticket.is_valid else None,
        )
        with _disk_errors(self.state_db):
            archive = succession.archive()
        if ticket and ticket.is_valid:
            machines, outcome = return_ticket.build(succession, ticket, archive), Outcome.RETURNED
        else:
            machines, outcome = succession.build(archive).machines, Outcome.ROTATED
        with _disk_errors(self.state_db):
            swap.make_private(self.state_db)
        swap.swap(self.state_db, archive)
        return Opening(
            outcome,
            archive=archive.name,
            from_version=from_version,
            machines=machines,
            backup_id=backup_id,
        )

    def _back_up(self, old: OldDatabase) -> str | None:
        if self.backup is None:
            return None
        try:
            return self.backup(old.connection)
        except (BtyError, OSError, apsw.Error) as error:
            if isinstance(error, apsw.CorruptError | apsw.NotADBError):
                raise DamagedError(f"{self.state_db}: {error}") from error
            raise StorageError(
                f"the backup that precedes the change to {self.version} failed: {error};"
                " nothing was changed"
            ) from error
        finally:
            old.end_transaction()

    # -- what is set aside -------------------------------------------------------------------

    def _set_strange_logs_aside(self) -> quarantine.Plan | None:
        """Move away logs that SQLite would take for those of this database, or would delete."""
        logs = quarantine.with_content(self.state_db)
        if not size_of(self.state_db):
            problem = f"{STATE_FILE} was missing or empty and its log was not"
            if not logs:
                for path in quarantine.present(self.state_db, ("-wal", "-journal")):
                    with _disk_errors(path):
                        path.unlink()
                return None
            files, reason = quarantine.present(self.state_db), "orphaned-log"
        else:
            wal = sidecar(self.state_db, "-wal")
            if wal not in logs:
                return None
            if not file_header.is_without_log_mode(self.state_db):
                stale_log.check(self.state_db)
                return None
            problem = f"the write-ahead log beside {STATE_FILE} belongs to another database"
            files = quarantine.present(self.state_db, ("-wal", "-shm"))
            reason = _LOG_OF_ANOTHER
        return self._set_aside(files, reason, problem)

    def _set_aside(self, files: Sequence[Path], reason: str, problem: str) -> quarantine.Plan:
        if others := in_use(
            *files
        ):  # it would go on, with a journal under the name of the fresh one's
            raise ConflictError(
                f"{problem}, and {others} has it open: stop that first, then start again;"
                " nothing was changed"
            )
        return quarantine.set_aside(self.state_db, files, now=self.now, why=(reason, problem))

    def _replace_damaged(self, problem: str) -> Opening:
        files = quarantine.present(self.state_db)
        return self._after_setting_aside(self._set_aside(files, "damaged", problem))

    def _after_setting_aside(self, plan: quarantine.Plan) -> Opening:
        """Go on from a directory of evidence; its plan goes when the fresh database tells of it."""
        told = Opening(Outcome.QUARANTINED, set_aside=plan.folder, problem=plan.problem)
        if plan.reason == _LOG_OF_ANOTHER:
            quarantine.done(self.state_db)
            return replace(self.run(), set_aside=plan.folder, problem=plan.problem)
        if exists(self.state_db):  # the fresh one, or one that was put back by hand
            quarantine.done(self.state_db)
            return replace(
                self.run(), outcome=Outcome.QUARANTINED, set_aside=plan.folder, problem=plan.problem
            )
        self._fresh(_evidence_event(plan, self.version))
        quarantine.done(self.state_db)
        return told

    def _fresh(self, event: Event | None = None) -> None:
        at = moment_text(self.now)

        def fill(new: apsw.Connection) -> None:
            if event is not None:
                events.record(Tx(new), event, at=at)

        new = unfinished(self.state_db)
        build_fresh(new, version=self.version, at=at, fill=fill)
        publish(new, self.state_db)


def _evidence_event(plan: quarantine.Plan, version: str) -> Event:
    return Event(
        Kind.SCHEMA_RESET,
        Actor.SYSTEM,
        f"{plan.problem}: moved to {plan.folder}, and a fresh database was made."
        " Next: import the newest backup (bty import DIRECTORY); keep the moved files for a rescue",
        details={
            "from_version": None,
            "to_version": version,
            "archived_at": plan.folder,
            "reason": plan.reason,
            "problem": plan.problem,
            "files": sorted(plan.files),
        },
    )


def _check_kind(state_db: Path) -> None:
    if not exists(state_db):
        return
    with _disk_errors(state_db):
        kind = state_db.lstat().st_mode
    if stat.S_ISLNK(kind):
        raise ConfigError(
            f"{state_db}: is a link: name the directory that it leads to as the state directory"
        )
    if not stat.S_ISREG(kind):
        raise ConfigError(f"{state_db}: is not a file: move it away")


@contextlib.contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}; nothing was changed") from error

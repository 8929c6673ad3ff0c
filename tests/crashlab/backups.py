"""A scheduled backup with what retention removes after it, cut off; and what must hold then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import apsw

from bty_app import __version__
from bty_app.domain.catalog_events import By
from bty_app.domain.events import Actor
from bty_app.domain.jobs import Quiet
from bty_app.errors import BtyError
from bty_app.services.backups import Backups, Order
from bty_app.services.verify import verify_backup
from bty_app.store import creation, events, settings, sqlite
from bty_app.store.backup_shelf import Shelf
from bty_app.store.database import Tx
from tests.crashlab import actions
from tests.crashlab.checks import require

OLD, NEW = "2026-11-21T03-00-00Z", "2026-11-22T03-00-00Z"
_ENDS = ("backup.created", "backup.failed", "backup.create.cancelled")

T = TypeVar("T")


class OneThread:
    """The database without its writer thread: strace counts the calls of each thread apart."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.connection = sqlite.writable(path)
        except apsw.Error as error:
            raise sqlite.translated(error) from error

    def check_taken(self) -> None:
        """As `Database.check_taken`: this installation is not being moved."""

    def write(self, change: Callable[[Tx], T]) -> T:
        """As `Database.write`."""
        return self._within("BEGIN IMMEDIATE", change)

    def read(self, query: Callable[[Tx], T]) -> T:
        """As `Database.read`."""
        return self._within("BEGIN", query)

    def _within(self, begin: str, work: Callable[[Tx], T]) -> T:
        try:
            self.connection.execute(begin)
            try:
                done = work(Tx(self.connection))
                self.connection.execute("COMMIT")
                return done
            finally:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
        except apsw.Error as error:
            raise sqlite.translated(error) from error


@contextmanager
def _opened(state_dir: Path, moment: datetime) -> Iterator[tuple[Backups, OneThread]]:
    database = OneThread(state_dir / "state.db")
    try:
        shelf = Shelf(state_dir / "backups")
        yield Backups(database.path, shelf, database, clock=lambda: moment), database  # type: ignore[arg-type]
    finally:
        database.connection.close()


def prepared(state_dir: Path) -> None:
    """A database of this release, one scheduled backup, and a policy that keeps one."""
    creation.build_fresh(state_dir / "state.db", version=__version__, at=actions.STAMP)
    sqlite.writable(state_dir / "state.db", sqlite.Journal.WAL).close()  # as a server has it
    with _opened(state_dir, datetime(2026, 11, 21, 3, tzinfo=UTC)) as (backups, database):
        for name, text in (
            *(("retention_count", "1"), ("keep_daily", "0")),
            *(("keep_weekly", "0"), ("keep_monthly", "0"), ("skip_unchanged", "no")),
        ):
            database.write(
                lambda tx, name=name, text=text: settings.put(  # type: ignore[misc]
                    tx, f"backup.{name}", text, at=actions.STAMP
                )
            )
        backups.create(Order("scheduled", OLD), Quiet())


def back_up(state_dir: Path) -> None:
    """Back up; retention then removes the one before."""
    with _opened(state_dir, datetime(2026, 11, 22, 3, tzinfo=UTC)) as (backups, _database):
        backups.create(Order("scheduled", NEW), Quiet())


def remove(state_dir: Path) -> None:
    """An operator removes the backup."""
    with _opened(state_dir, datetime(2026, 11, 22, 3, tzinfo=UTC)) as (backups, _database):
        backups.remove(OLD, By(Actor.OPERATOR, None))


def kept(state_dir: Path) -> None:
    """What has a name is whole; after the next start nothing is left over, and all is told of."""
    shelf = Shelf(state_dir / "backups")
    for name in shelf.ids():
        problems = verify_backup(shelf.path(name)).problems
        require(not problems, f"{name} has its name and is not whole: {problems}")
    with _opened(state_dir, datetime(2026, 11, 22, 4, tzinfo=UTC)) as (backups, database):
        try:
            backups.tidy()
        except BtyError as error:
            require(False, f"the next start cannot tidy up: {error.message}")
        told = Counter(
            (row.kind, row.subject_id) for row in database.read(lambda tx: list(events.every(tx)))
        )
        require(database.read(events.broken_at) is None, "the audit log is broken")
    left = {path.name for path in shelf.directory.iterdir()} - {OLD, NEW, ".lock", ".marks.lock"}
    require(not left, f"left over: {left}")
    _told(told, set(shelf.ids()))


def _told(told: Counter[tuple[str, str | None]], there: set[str]) -> None:
    gone = told["backup.pruned", OLD] + told["backup.deleted", OLD]
    require(gone == (OLD not in there), f"{OLD}: {gone} rows tell that it is gone")
    ends = sum(told[kind, NEW] for kind in _ENDS)
    begun = told["backup.create.started", NEW]  # it may fail before it can say that it begins
    require(begun <= ends <= 1, f"{NEW} began {begun} times, and has {ends} ends")
    require(told["backup.created", NEW] == (NEW in there), f"{NEW} is there, or told of, alone")
    require(bool(there) or bool(told["backup.deleted", OLD]), "no backup is left")

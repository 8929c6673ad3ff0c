"""Backups: made, listed, kept, removed, proven. The pages, the commands and the schedule use this.

One program at a time makes or removes backups of a directory. What is set out to be done is
written down first, so that whoever comes after a crash can tell what became of it.

Threads: any may call.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from bty_app import __version__, logs
from bty_app.domain import backup_events as audit
from bty_app.domain import retention, schedule
from bty_app.domain.backups import SCHEDULED, Backup, name_of
from bty_app.domain.catalog_events import By
from bty_app.domain.clock_doubt import Doubt, doubt
from bty_app.domain.jobs import Step, Teller
from bty_app.domain.moments import stamp
from bty_app.errors import BtyError, CancelledError, ConflictError, StorageError
from bty_app.services.backup_fates import fates
from bty_app.services.backup_files import BackupPlan, BackupResult, free_name, write_backup
from bty_app.services.backup_journal import CREATE, PRUNED, REMOVE, Journal, removal
from bty_app.services.backup_looks import Looks
from bty_app.services.backup_turns import alone_in_turn
from bty_app.services.clock import Clock, Up, host_up, utc_now
from bty_app.services.verify import Verdict
from bty_app.store import backup_state
from bty_app.store.backup_shelf import Shelf
from bty_app.store.backup_state import Intention
from bty_app.store.database import Database, Tx

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Order:
    """A backup that is wanted; without a name it is that of the moment, and `include_state` is
    what the settings say where it is None. Another one under way is waited for so long.
    """

    trigger: str
    backup_id: str = ""
    include_state: bool | None = None
    wait_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Created:
    """A backup that was made and read back; `pruned` went to make room. `is_new` is False for one
    that was there already, and holds all there is.
    """

    backup: Backup
    path: Path
    skipped: tuple[str, ...]
    pruned: tuple[str, ...] = ()
    is_new: bool = True


@dataclass(frozen=True, slots=True)
class Listed:
    """A backup, and what retention makes of it."""

    backup: Backup
    stays: bool
    reason: str


class Backups:
    """The backups of one installation."""

    def __init__(
        self,
        state_db: Path,
        shelf: Shelf,
        database: Database | None,
        *,
        clock: Clock = utc_now,
        up: Up = host_up,
    ) -> None:
        """Without a `database`, which is that of another version, nothing is told and nothing
        removed.
        """
        self.shelf = shelf
        self.journal = Journal(database, clock)
        self._looks = Looks(shelf, self.journal, clock)
        self._up = up
        self._state_db = state_db
        self._clock = clock

    # -- reading -------------------------------------------------------------------------------

    def listed(self, policy: retention.Policy | None = None) -> list[Listed]:
        """All backups, the newest first, and what would become of each under `policy`, or under
        that of the settings.
        """
        items = self.shelf.items()
        wanted = policy or self.journal.settings().policy
        by_id = {fate.item.id: fate for fate in self._fates(items, wanted, self._clock())}
        return [Listed(item, by_id[item.id].stays, by_id[item.id].reason) for item in items]

    def _fates(
        self, items: Iterable[Backup], policy: retention.Policy, now: datetime
    ) -> tuple[retention.Fate, ...]:
        return fates(items, policy, self.journal.instance_id(), now)

    def clock_doubt(self, besides: str = "") -> Doubt:
        """Whether the clock can be believed; the backup `besides` has no say."""
        taken = (item.taken_at for item in self.shelf.readable() if item.id != besides)
        return doubt(self._clock(), max(filter(None, taken), default=None), self._up())

    # -- making --------------------------------------------------------------------------------

    def create(self, order: Order, teller: Teller) -> Created:
        """Make a backup, read it back, and let retention have its say; durable when this returns.

        Raises:
            ConflictError: another one is still being made; or this appliance moves, or has moved.
            CancelledError: the teller ended it; nothing of it is left.
            StorageError: it could not be made, or is not sound; what there was is as it was.
        """
        self.journal.check()
        about, untaken = self.journal.under_way, partial(self._untaken, order)
        with alone_in_turn(self.shelf, order.wait_seconds, about, teller, untaken):
            self.journal.check()
            now = self._clock()
            self._tidy()
            name = free_name(self.shelf.directory, order.backup_id or name_of(now))
            self._attempted(order, now)
            try:
                if (known := self._same_as_now(order, teller)) is not None:
                    return self._left_out(order, known, now)
                done = self._written(order, name, now, teller)
            except CancelledError:
                self.journal.tell(audit.cancelled(name, order.trigger), backup_state.done)
                raise
            except BtyError as error:
                self._withdraw(name)
                self._failed(order, name, error)
                raise
            return self._proven(order, done, now, teller)

    def _untaken(self, order: Order, error: StorageError) -> None:
        self._attempted(order, now := self._clock())
        self._failed(order, order.backup_id or name_of(now), error)

    def _same_as_now(self, order: Order, teller: Teller) -> Backup | None:
        """The one that makes another one of the schedule needless."""
        if order.trigger != SCHEDULED or not self.journal.settings().skip_unchanged:
            return None
        teller.tell(Step("comparing with the last backup"))
        return self._looks.same_as_now(self._state_db)

    def _left_out(self, order: Order, known: Backup, now: datetime) -> Created:
        """None is made, and the schedule has its due."""
        at = stamp(now)
        done = {"last_attempt_at": at, "last_success_at": at, "failures": 0, "last_error": ""}
        event = audit.unchanged(known.id, order.trigger)
        self.journal.keep(event, **done, unchanged_id=known.id, unchanged_at=at)
        return Created(known, self.shelf.path(known.id), (), is_new=False)

    def _written(self, order: Order, name: str, now: datetime, teller: Teller) -> BackupResult:
        include = order.include_state
        plan = BackupPlan(
            backup_id=name,
            trigger=order.trigger,
            version=__version__,
            now=now,
            include_state=self.journal.settings().include_state if include is None else include,
        )
        return write_backup(
            self._state_db,
            self.shelf.directory,
            plan,
            teller=teller,
            on_begun=lambda settled: self._begun(order, settled),
        )

    def _withdraw(self, name: str) -> None:
        """It may have its name although the disk could not say that this lasts."""
        with contextlib.suppress(BtyError):  # then the disk is broken, which is what is told
            if name in self.shelf.ids():
                self.shelf.remove(name)

    def _begun(self, order: Order, name: str) -> None:
        """Behind the moment that the backup holds, so that it does not hold this."""
        intention = Intention(CREATE, name, order.trigger)
        again = order.trigger == SCHEDULED and self.journal.history().failures > 0
        event = None if again else audit.started(name, order.trigger)
        self.journal.intend(intention, event)

    def _proven(self, order: Order, done: BackupResult, now: datetime, teller: Teller) -> Created:
        """It has its name: it is looked at to the end, whoever does not want it any more."""
        name = done.path.name
        _told(teller, "reading the backup back")
        verdict = self._looks.read_back(name)
        if not verdict.sound:
            error = StorageError(f"the backup {name} is not sound: {verdict.problems[0]}")
            self._failed(order, name, error)
            raise error
        past = self.journal.past()
        is_odd = schedule.due(self.journal.settings().schedule, past, now).clock_is_odd
        is_odd = is_odd or bool(self.clock_doubt(name).sentence)
        place, machines = str(done.path), done.machines
        event = audit.created(name, order.trigger, place, machines=machines, size=done.size)
        self.journal.tell(event, lambda tx: self._succeeded(tx, order, now))
        pruned = () if is_odd else self._pruned_if_possible(now)
        return Created(self.shelf.find(name), done.path, done.skipped, pruned)

    def _succeeded(self, tx: Tx, order: Order, now: datetime) -> None:
        backup_state.done(tx)
        if order.trigger == SCHEDULED:
            self.journal.keep_in(tx, last_success_at=stamp(now), failures=0, last_error="")

    def _attempted(self, order: Order, now: datetime) -> None:
        if order.trigger == SCHEDULED:
            self.journal.keep(last_attempt_at=stamp(now))

    def _failed(self, order: Order, name: str, error: BtyError) -> None:
        """Told once for each reason while the schedule tries again; the failure is what is raised,
        whatever becomes of this.
        """
        known = self.journal.history()
        again = order.trigger == SCHEDULED and known.last_error == error.message

        def change(tx: Tx) -> None:
            backup_state.done(tx)
            if order.trigger == SCHEDULED:
                failures = known.failures + 1
                self.journal.keep_in(tx, failures=failures, last_error=error.message)

        try:
            self.journal.tell(
                None if again else audit.failed(name, order.trigger, error.message), change
            )
        except BtyError as untold:
            logs.event(_log, logging.ERROR, "backup", error=error.message, untold=untold.message)

    # -- keeping and removing ------------------------------------------------------------------

    def pin(self, backup_id: str, by: By, *, is_pinned: bool) -> Backup:
        """Keep a backup whatever retention says, or no more.

        Raises:
            NotFoundError: there is none of this name.
            ConflictError: one is being made or removed.
            StorageError: it cannot be written.
        """
        self.journal.check()
        with self.shelf.alone():
            found = self.shelf.find(backup_id)
            if (found.marks.pinned_at is not None) == is_pinned:
                return found
            at = stamp(self._clock()) if is_pinned else None
            self.shelf.mark(backup_id, lambda known: replace(known, pinned_at=at))
            self.journal.tell(audit.pinned(backup_id, by, is_pinned=is_pinned))
            return self.shelf.find(backup_id)

    def remove(self, backup_id: str, by: By) -> Backup:
        """Remove a backup for good; what comes back is what it was.

        Raises:
            NotFoundError: there is none of this name.
            ConflictError: it is pinned, or one is being made or removed.
            StorageError: it cannot be removed.
        """
        with self.journal.failed_removal_told(self.shelf, backup_id, by), self.shelf.alone():
            self._tidy()
            found = self.shelf.find(backup_id)
            if found.marks.pinned_at is not None:
                raise ConflictError(f"the backup {backup_id} is pinned: unpin it first")
            self._remove(found, by, "removed by an operator")
            return found

    def _pruned_if_possible(self, now: datetime) -> tuple[str, ...]:
        """The backup is good, whatever keeps an old one from going."""
        try:
            return self._prune(now)
        except BtyError as error:
            logs.event(_log, logging.WARNING, "backup", error=f"not pruned: {error.message}")
            return ()

    def _prune(self, now: datetime) -> tuple[str, ...]:
        if self.journal.database is None:
            return ()
        policy = self.journal.settings().policy
        by_id = {item.id: item for item in self.shelf.items()}
        gone = [fate for fate in self._fates(by_id.values(), policy, now) if not fate.stays]
        for fate in gone:
            reason = f"{PRUNED}{fate.reason}"
            with self.journal.failed_removal_told(self.shelf, fate.item.id, audit.SYSTEM):
                self._remove(by_id[fate.item.id], audit.SYSTEM, reason, retention=policy.count)
        return tuple(fate.item.id for fate in gone)

    def _remove(self, item: Backup, by: By, why: str, *, retention: int = 0) -> None:
        plan = Intention(REMOVE, item.id, why, item.manifest.machines, item.size, retention, by.ip)
        self.journal.intend(plan)
        self.shelf.remove(item.id)
        self.journal.tell(removal(plan), backup_state.done)

    # -- proving -------------------------------------------------------------------------------

    def check(self, backup_id: str) -> Verdict:
        """Read a backup back and compare all that is in it; the outcome is kept with it.

        Raises:
            NotFoundError: there is none of this name.
            StorageError: the outcome cannot be written.
        """
        return self._looks.check(backup_id)

    def drilled(self, backup_id: str, problems: tuple[str, ...], facts: str) -> None:
        """Keep the outcome of a drill, which began with a look at all of the backup.

        Raises:
            NotFoundError: there is none of this name.
            StorageError: it cannot be written.
        """
        self._looks.drilled(backup_id, problems, facts)

    # -- after a crash -------------------------------------------------------------------------

    def tidy(self) -> None:
        """Sweep what killed programs left, and tell what became of what they had set out to do.

        Raises:
            ConflictError: a backup is being made.
            StorageError: it cannot be done.
        """
        if not self.shelf.directory.exists():
            return
        with self.shelf.alone():
            self._tidy()

    def _tidy(self) -> None:
        self.shelf.sweep()
        self.journal.resolve(self.shelf)


def _told(teller: Teller, words: str) -> None:
    with contextlib.suppress(CancelledError):
        teller.tell(Step(words))

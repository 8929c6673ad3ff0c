"""What the database is told of backups, and what it knows: events, how the schedule went, and what
somebody had set out to do when the program was killed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from bty_app.domain import backup_events as audit
from bty_app.domain import schedule
from bty_app.domain.backup_settings import BackupSettings, backup_settings
from bty_app.domain.catalog_events import By
from bty_app.domain.events import Actor, Event
from bty_app.domain.moments import stamp
from bty_app.errors import BtyError, StorageError
from bty_app.services.clock import Clock
from bty_app.store import backup_state, events, instance, settings
from bty_app.store.backup_shelf import Shelf
from bty_app.store.backup_state import History, Intention
from bty_app.store.database import Database, Tx

CREATE, REMOVE = "create", "remove"
PRUNED = "pruned: "  # begins the reason of an intention, when it is retention that removes


@dataclass(frozen=True, slots=True)
class Journal:
    """Without a `database`, which is then that of another version, nothing is known or told."""

    database: Database | None
    clock: Clock

    def settings(self) -> BackupSettings:
        """What the operator wants."""
        return backup_settings(self.database.read(settings.every) if self.database else {})

    def history(self) -> History:
        """How the schedule went."""
        return self.database.read(backup_state.history) if self.database else History()

    def past(self) -> schedule.Past:
        """The same, as `domain/schedule.py` asks for it."""
        known = self.history()
        return schedule.Past(
            success=backup_state.moment(known.last_success_at),
            failure=backup_state.moment(known.last_attempt_at) if known.failures else None,
            failures=known.failures,
        )

    def instance_id(self) -> str:
        """Which installation this is."""
        if self.database is None:
            return ""
        return self.database.read(lambda tx: instance.get(tx, "instance_id")) or ""

    def check(self) -> None:
        """See that it can be told anything at all.

        Raises:
            MovedError: this appliance is being moved, or has moved.
        """
        if self.database is not None:
            self.database.check_taken()

    def tell(self, event: Event | None, change: Callable[[Tx], None] = lambda _tx: None) -> None:
        """Record the event and make the change, in one transaction.

        Raises:
            StorageError: neither could be made durable.
        """
        if self.database is None:
            return
        at = stamp(self.clock())

        def write(tx: Tx) -> None:
            change(tx)
            if event is not None:
                events.record(tx, event, at=at)

        self.database.write(write)

    def keep(self, event: Event | None = None, **changes: object) -> None:
        """Record the event, and how the schedule stands.

        Raises:
            StorageError: neither could be made durable.
        """
        self.tell(event, lambda tx: self.keep_in(tx, **changes))

    def keep_in(self, tx: Tx, **changes: object) -> None:
        """Change fields of the history."""
        known = replace(backup_state.history(tx), **changes)  # type: ignore[arg-type]  # its fields
        backup_state.keep(tx, known, at=stamp(self.clock()))

    def intend(self, intention: Intention, event: Event | None = None) -> None:
        """Write down what is about to be done.

        Raises:
            StorageError: it could not be made durable; it must not be done.
        """
        self.tell(event, lambda tx: backup_state.intend(tx, intention))

    @contextmanager
    def failed_removal_told(self, shelf: Shelf, backup_id: str, by: By) -> Iterator[None]:
        """Tell of a removal that fails within. Where the name is gone whoever looks next removes
        the rest, and tells of that. The failure counts, whatever becomes of its row.
        """
        try:
            yield
        except StorageError as error:
            with suppress(BtyError):
                if backup_id in shelf.ids():
                    self.tell(audit.delete_failed(backup_id, error.message, by))
            raise

    def under_way(self) -> str:
        """What somebody is doing, for people; empty where that is not known."""
        plan = self.database.read(backup_state.intention) if self.database else None
        if plan is None:
            return ""
        return f"the {'backup' if plan.act == CREATE else 'removal of'} {plan.backup_id}"

    def resolve(self, shelf: Shelf) -> None:
        """Tell what became of what was set out to be done. Nobody may be at it any more.

        Raises:
            StorageError: it could not be told.
        """
        left = self.database.read(backup_state.intention) if self.database else None
        if left is not None:
            self.tell(_became(left, shelf), backup_state.done)


def removal(plan: Intention) -> Event:
    """That what was to be removed is gone."""
    if plan.why.startswith(PRUNED):
        return audit.pruned(plan.backup_id, plan.retention, plan.why.removeprefix(PRUNED))
    by = By(Actor.OPERATOR, plan.ip)
    return audit.deleted(plan.backup_id, by, machines=plan.machines, size=plan.size)


def _became(left: Intention, shelf: Shelf) -> Event | None:
    """What is on the shelf says how far it came."""
    is_there = left.backup_id in shelf.ids()
    if left.act == REMOVE:
        return None if is_there else removal(left)
    if is_there:
        return audit.found(shelf.find(left.backup_id), str(shelf.path(left.backup_id)))
    return audit.failed(left.backup_id, left.why, "the program was killed while it was made")

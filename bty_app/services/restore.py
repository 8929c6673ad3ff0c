"""Put a backup back: shown first, applied in one transaction, with a way back.

The live database is changed through SQLite, a server beside it or not: its readers keep their view,
and its pages notice within seconds. Where there is no database that can be read, one is built
beside its name and takes that whole; what stood there is set aside.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bty_app.domain import restoring
from bty_app.domain.backups import PRE_RESTORE
from bty_app.domain.catalog_events import By
from bty_app.domain.events import Kind, Query
from bty_app.domain.jobs import Quiet
from bty_app.domain.mac import Mac
from bty_app.domain.moments import stamp
from bty_app.domain.restoring import Effect, Known, RowChange, Wanted, WayBack
from bty_app.errors import BtyError, ConflictError, MovedError, NotFoundError, StorageError
from bty_app.services import backups, restore_sources
from bty_app.services.bundles import check_version
from bty_app.services.clock import Clock, utc_now
from bty_app.services.restore_order import Order, check_found
from bty_app.services.restore_sources import Proven, Source
from bty_app.store import (
    creation,
    events,
    file_header,
    locks,
    move_mark,
    quarantine,
    restoration,
    restore_plan,
    stale_log,
    swap,
)
from bty_app.store.backup_shelf import Shelf
from bty_app.store.holders import in_use
from bty_app.store.old_database import damage_of
from bty_app.store.place import size_of

STATE_FILE = "state.db"
SHOWN = 100
_LOCK = "restore.lock"
_LOCK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Preview:
    """What a restore would do; `rows` are the first that differ. `problem`: the present database
    cannot be read, and is set aside.
    """

    name: str
    created_at: str | None
    effect: Effect
    rows: tuple[RowChange, ...]
    found: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """Which of the rows that differ are shown."""

    limit: int = SHOWN
    offset: int = 0
    containing: str = ""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did, and what leads back."""

    name: str
    effect: Effect
    way_back: WayBack


@dataclass(frozen=True, slots=True)
class Undoable:
    """The last restore, and the backup from before it."""

    event_id: int
    at: str
    summary: str
    backup_id: str
    wanted: Wanted


_FIRST_PAGE = Page()


class Restore:
    """Restores into one state directory. Any thread may call."""

    def __init__(
        self,
        state_dir: Path,
        backups_dir: Path,
        *,
        version: str,
        clock: Clock = utc_now,
        on_change: Callable[[], None] = lambda: None,
        refusal: Callable[[], str] | None = None,
    ) -> None:
        """`refusal` says why nothing may be changed now; without it, the mark of a move does."""
        self._state_dir = state_dir
        self._state_db = state_dir / STATE_FILE
        self._backups_dir = backups_dir
        self._version = version
        self._clock = clock
        self._on_change = on_change
        self._refusal = refusal or partial(move_mark.refused, state_dir)
        self._sound = restore_sources.Sound()

    def path_of(self, backup_id: str) -> Path:
        """Where the backup of this name is.

        Raises:
            NotFoundError: there is none.
        """
        return restore_sources.backup_path(self._backups_dir, backup_id)

    def preview(self, path: Path, wanted: Wanted, page: Page = _FIRST_PAGE) -> Preview:
        """What putting back the backup at `path` would change. Nothing is.

        Raises:
            NotFoundError: there is none; or none of the machines asked for is in it.
            InvalidInputError: it cannot be put back: damaged, another release's, a bundle.
            ConflictError: the present database is of another release.
            StorageError: one of the two cannot be read.
        """
        source = restore_sources.found(path)
        with self._proven(source) as proven:
            problem = self._problem()
            live = None if problem is not None else self._state_db
            if live:
                check_version(live, self._version)
            with restoration.looking(live, proven.copy) as tx:
                restore_plan.make(tx, wanted)
                check_found(tx, source.name)
                return Preview(
                    name=source.name,
                    created_at=source.created_at,
                    effect=restore_plan.effect(tx, wanted, proven.origin.sha256),
                    rows=tuple(
                        restore_plan.changes(
                            tx, wanted, limit=page.limit, offset=page.offset,
                            containing=page.containing,
                        )
                    ),
                    found=restore_plan.count(tx, page.containing),
                    problem=problem or "",
                )  # fmt: skip

    def machine(self, path: Path, mac: Mac) -> Known:
        """What the backup at `path` knows of one machine, beside what is known now.

        Raises:
            NotFoundError: neither knows it.
            BtyError: as `preview`.
        """
        source = restore_sources.found(path)
        with self._proven(source) as proven:
            live = self._state_db if self._problem() is None else None
            with restoration.looking(live, proven.copy) as tx:
                known = restore_plan.known(tx, mac)
        if not known.then and not known.here:
            raise NotFoundError(f"{source.name}: knows nothing of {mac}, and neither does anybody")
        return known

    def apply(self, path: Path, wanted: Wanted, *, by: By, digest: str | None = None) -> Restored:
        """Put the backup at `path` back; with a `digest` only if that is still what was shown.

        Raises:
            ConflictError: something has changed since it was shown; or another restore, or a
                server of a damaged database, or a backup that is being made, is in the way.
            MovedError: this appliance is being moved, or has moved.
            BtyError: as `preview`. In all cases the database is as it was.
        """
        return self._apply(restore_sources.found(path), wanted, by, digest)

    def undoable(self) -> Undoable | None:
        """The last restore, if there is a way back from it."""
        if self._problem() is not None:
            return None
        return self.last()

    def preview_undo(self, page: Page = _FIRST_PAGE) -> Preview:
        """What undoing the last restore would change.

        Raises:
            NotFoundError: there is none to undo.
            BtyError: as `preview`.
        """
        last = self._undoable()
        return self.preview(self.path_of(last.backup_id), last.wanted, page)

    def undo(self, *, by: By, digest: str | None = None) -> Restored:
        """Take the last restore back.

        Raises:
            BtyError: as `preview_undo` and `apply`.
        """
        last = self._undoable()
        source = restore_sources.found(self.path_of(last.backup_id))
        return self._apply(source, last.wanted, by, digest, undoes=last.event_id)

    # -- how -----------------------------------------------------------------------------------

    @contextmanager
    def _proven(self, source: Source) -> Iterator[Proven]:
        with restore_sources.proven(self._state_dir, source, self._version, self._sound) as proven:
            yield proven

    def _apply(
        self,
        source: Source,
        wanted: Wanted,
        by: By,
        digest: str | None,
        undoes: int | None = None,
    ) -> Restored:
        if why := self._refusal():
            raise MovedError(why)
        order = Order(wanted, by, digest, undoes)
        with locks.alone(self._state_dir / _LOCK), self._proven(source) as proven:
            problem = self._problem()
            if problem is None:
                done = self._into_live_or_told(proven, order)
            else:
                done = self._in_place_of(proven, order, problem)
        self._on_change()
        return done

    def _into_live_or_told(self, proven: Proven, order: Order) -> Restored:
        try:
            return self._into_live(proven, order)
        except StorageError as error:
            event = restoring.restore_failed(proven.origin.name, error.message, order.by)
            with suppress(BtyError), restoration.writing(self._state_db) as tx:
                events.record(tx, event, at=stamp(self._clock()))
            raise

    def _into_live(self, proven: Proven, order: Order) -> Restored:
        with locks.shared(self._state_dir):
            check_version(self._state_db, self._version)
            with restoration.looking(self._state_db, proven.copy) as tx:
                effect = order.planned(tx, proven)  # before a backup is made for nothing
            # What is saved while that is made would be neither here nor in it.
            order = replace(order, digest=effect.digest)
            way_back = WayBack(self._safety_copy(), undoes=order.undoes)
            with restoration.restoring(self._state_db, proven.copy) as tx:
                effect = order.carried_out(tx, proven, way_back, at=stamp(self._clock()))
        return Restored(proven.origin.name, effect, way_back)

    def _in_place_of(self, proven: Proven, order: Order, problem: str) -> Restored:
        """There is nothing that can be read: build the database, set aside what is in its way."""
        with locks.exclusive(self._state_dir, wait_seconds=_LOCK_SECONDS):
            swap.finish_swap(self._state_db)
            if self._problem() is None:  # it was in the middle of being replaced
                raise ConflictError(f"{self._state_db}: came back meanwhile: try again")
            evidence = self._set_aside(problem)
            way_back = WayBack(evidence=evidence)
            at = stamp(self._clock())
            effect = restoration.build(
                self._state_db,
                proven.copy,
                version=self._version,
                at=at,
                fill=lambda tx: order.carried_out(tx, proven, way_back, at=at),
            )
            creation.publish(creation.unfinished(self._state_db), self._state_db)
            if evidence:
                quarantine.done(self._state_db)
        return Restored(proven.origin.name, effect, way_back)

    def _set_aside(self, problem: str) -> str | None:
        plan = quarantine.unfinished_plan(self._state_db)
        files = quarantine.present(self._state_db)
        if not files:
            return plan.folder if plan else None
        if others := in_use(*files):
            raise ConflictError(
                f"{problem}, and {others} has it open: stop that first; nothing was changed"
            )
        why = ("damaged", problem)
        return quarantine.set_aside(self._state_db, files, now=self._clock(), why=why).folder

    def _problem(self) -> str | None:
        """Why the present database cannot be restored into; None when it can."""
        if not size_of(self._state_db):
            return f"there is no {STATE_FILE}"
        if file_header.could_be_database(self._state_db):
            stale_log.check_unserved(self._state_db)
        return damage_of(self._state_db) or None

    def _safety_copy(self) -> str:
        """The event of the restore tells of it: the database hears of it in no other way."""
        making = backups.Backups(self._state_db, Shelf(self._backups_dir), None, clock=self._clock)
        try:
            order = backups.Order(PRE_RESTORE, include_state=True)
            return making.create(order, Quiet()).backup.id
        except ConflictError as error:
            raise ConflictError(f"{error.message}; nothing was changed") from error
        except BtyError as error:
            raise StorageError(
                f"the backup that precedes a restore failed: {error.message}; nothing was changed"
            ) from error

    def _undoable(self) -> Undoable:
        last = self.undoable()
        if last is None:
            raise NotFoundError("there is no restore that could be undone")
        return last

    def last(self) -> Undoable | None:
        """As `undoable`, of a database that is known to be readable."""
        with restoration.reading(self._state_db) as tx:
            found = events.listed(tx, Query(kind=Kind.BACKUP_RESTORED.value, limit=1))
        if not found:
            return None
        details = json.loads(found[0].details or "{}")
        backup_id = details.get("undo")
        if not isinstance(backup_id, str):
            return None
        with suppress(NotFoundError):
            self.path_of(backup_id)
            macs = tuple(details.get("only") or ())
            wanted = Wanted(macs, keep_boot_modes=True)
            return Undoable(found[0].id, found[0].ts, found[0].summary, backup_id, wanted)
        return None

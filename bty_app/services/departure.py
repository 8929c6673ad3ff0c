"""This appliance goes to another host: it is copied, stops taking changes, and stays silent after.

While a copy of the database is on its way, changes are refused; they are taken again when the new
host says nothing for `LEASE_SECONDS`, or this process ends. Only a copy after which nothing was
changed can become the appliance.

Threads: any may call.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from bty_app import __version__, logs
from bty_app.domain import migration_events
from bty_app.domain.migration import (
    LEASE_SECONDS,
    Appliance,
    Mark,
    Part,
    State,
    parse_address,
    refusal,
)
from bty_app.domain.moments import stamp
from bty_app.errors import ConflictError, MovedError, NotFoundError, StorageError
from bty_app.services.audit import record_if_possible
from bty_app.services.backup_files import sha256_of
from bty_app.services.clock import Clock, utc_now
from bty_app.services.passwords import PASSWORD_FILE, WEBHOOK_SECRET_FILE
from bty_app.services.verify import verify_archive
from bty_app.store import events, instance, machines, move_mark, publish, snapshot
from bty_app.store.backup_shelf import STATE
from bty_app.store.boot_tree import BootTree
from bty_app.store.database import Database, Tx

_log = logging.getLogger(__name__)

# People know the password, and receivers of events the key. The key of the forms of sessions
# stays: sessions end with a host.
SECRETS = (PASSWORD_FILE, WEBHOOK_SECRET_FILE)
CATALOG = "catalog.toml"
CATALOG_SOURCE = "catalog.toml.source"


@dataclass(slots=True)
class _Lease:
    """A copy on its way to `to`; nothing was changed since the event `newest`."""

    to: str
    newest: int
    folder: Path
    parts: tuple[Part, ...]
    until: float
    kept: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    reading: int = 0

    @property
    def copy(self) -> str:
        """The digest of the database."""
        return next(part.sha256 for part in self.parts if part.name == STATE)


class Departure:
    """The way to another host."""

    def __init__(
        self,
        database: Database,
        state_dir: Path,
        boot: BootTree,
        catalog_file: Path,
        clock: Clock = utc_now,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.boot = boot
        self._database = database
        self._state_dir = state_dir
        self._catalog_file = catalog_file
        self._clock = clock
        self._steady = steady
        self._lock = threading.RLock()
        self._copying = threading.Lock()
        self._lease: _Lease | None = None
        self._to = ""  # while a copy is made or on its way
        self._busy: Callable[[], str] = lambda: ""
        self._mark = move_mark.get(state_dir)  # at the start it must be known
        self._is_blind = False
        database.refuse_when(self.refusal)

    def wait_for(self, busy: Callable[[], str]) -> None:
        """Leave only while `busy` says nothing: what programs beside this one are doing for it."""
        self._busy = busy

    # -- what holds ----------------------------------------------------------------------------

    def mark(self) -> Mark | None:
        """Where this appliance has moved to, if it has; as it was known last, where the disk does
        not say: a server that serves goes on.
        """
        try:
            self._mark = move_mark.get(self._state_dir)
        except StorageError as error:
            if not self._is_blind:
                logs.event(_log, logging.ERROR, "migration", error=error.message)
            self._is_blind = True
        else:
            self._is_blind = False
        return self._mark

    def refusal(self) -> str:
        """Why nothing can be changed now; empty where it can. It asks no database."""
        mark = self.mark()
        if mark is not None:
            return refusal(State.MOVED, mark.to)
        to = self._to
        if to and self._has_ended():
            return ""
        return refusal(State.LEAVING, to) if to else ""

    def serving(self, task: Callable[[], object], about: str = "") -> Callable[[], None]:
        """`task`, done only while changes are taken; with `about`, the log tells that once."""
        said = ""

        def turn() -> None:
            nonlocal said
            why = self.refusal()
            if not why:
                task()
            elif about and why != said:
                logs.event(_log, logging.INFO, about, paused=why)
            said = why

        return turn

    def look(self) -> None:
        """Take changes again where the new host has said nothing for too long."""
        with self._lock:
            lease = self._lease
            if lease is None or not self._has_ended():
                return
            self._drop()
        event = migration_events.given_up(lease.to, "the new host said nothing any more")
        record_if_possible(self._database, event, at=stamp(self._clock()))

    def described(self) -> Appliance:
        """What this appliance is, for the one that is to take its place."""
        self.look()
        mark, to = self.mark(), self._to
        state = State.MOVED if mark else State.LEAVING if to else State.SERVING
        instance_id, known, flashing = self._database.read(_facts)
        return Appliance(
            state=state,
            to=mark.to if mark else to,
            copy=mark.copy if mark else "",
            version=__version__,
            instance_id=instance_id,
            machines=known,
            flashing=flashing,
            boot=self.boot.parts(),
            links=self.boot.links(),
            busy="a copy is being made" if self._copying.locked() else self._busy(),
        )

    # -- what is done --------------------------------------------------------------------------

    def leave(self, to: object, *, anyway: bool, ip: str | None) -> tuple[Part, ...]:
        """Refuse changes from now on, and copy what they would change; the files of the copy.

        Asked again by the same host, the copy that it has begun to fetch is offered once more.

        Raises:
            ValidationError: `to` is no address.
            ConflictError: another host is fetching; a machine is being flashed, and not `anyway`;
                or what `wait_for` asks is busy.
            MovedError: it has moved already.
            StorageError: no copy could be made; changes are taken again.
        """
        to_address = parse_address(to)
        self.look()
        if self.mark():
            raise MovedError(self.refusal())
        if not self._copying.acquire(blocking=False):
            raise ConflictError("a copy is being made already: ask again when that is done")
        try:
            with self._lock:
                if self._lease is not None and self._lease.to == to_address:
                    self._renew(self._lease)
                    return self._lease.parts
            self._check_may_leave(to_address, anyway=anyway)
            return self._left(to_address, ip)
        finally:
            self._copying.release()

    def opened(self, name: str) -> tuple[Part, BinaryIO, Callable[[], None]]:
        """A file of the copy for reading, and what to call at the end of that.

        Raises:
            NotFoundError: there is no copy, or no such file in it.
        """
        with self._lock:
            lease = self._lease
            part = (
                next((part for part in lease.parts if part.name == name), None) if lease else None
            )
            if lease is None or part is None or self._has_ended():
                raise NotFoundError(f"there is no copy with a file {name} (any more): begin again")
            self._renew(lease)
            file = (lease.folder / part.name).open("rb")
            lease.reading += 1

        def ended() -> None:
            with self._lock:
                lease.reading -= 1
                self._renew(lease)

        return part, file, ended

    def stay(self) -> None:
        """Give the move up: changes are taken again."""
        with self._lock:
            lease = self._lease
            self._drop()
        if lease is not None:
            event = migration_events.given_up(lease.to, "the new host gave it up")
            record_if_possible(self._database, event, at=stamp(self._clock()))

    def end(self) -> None:
        """Forget the copy: this process ends."""
        with self._lock:
            self._drop()

    def move(self, copy: str, *, ip: str | None) -> Mark:
        """The other host is the appliance from now on; asked again, it says so again.

        Args:
            copy: the digest of the database that the other host has.
            ip: who asks.

        Raises:
            ConflictError: that is not a copy after which nothing was changed.
        """
        at = stamp(self._clock())
        with self._lock:
            mark = self.mark()
            if mark is not None and mark.copy == copy:
                return mark
            lease = self._lease
            if mark is not None or lease is None or lease.copy != copy or self._has_ended():
                raise ConflictError("changes were taken after that copy was made: begin again")
            moved = Mark(lease.to, at, copy)

            def change(tx: Tx) -> None:
                if events.newest_of_facts(tx) != lease.newest:
                    raise ConflictError("a command changed something meanwhile: begin again")
                events.record(tx, migration_events.moved(lease.to, ip), at=at)
                try:
                    move_mark.put(self._state_dir, moved)
                finally:  # one that could not be written may be there, if the disk then is silent
                    self._mark = moved

            self._database.write(change, always=True)
            self._drop()
        return moved

    # -- inside --------------------------------------------------------------------------------

    def _check_may_leave(self, to: str, *, anyway: bool) -> None:
        if self._lease is not None:
            raise ConflictError(f"this appliance is being moved to {self._lease.to} already")
        if busy := self._busy():
            raise ConflictError(f"{busy}: move when that is done")
        _id, _known, flashing = self._database.read(_facts)
        if flashing and not anyway:
            raise ConflictError(
                f"{flashing} machines are being flashed and would not be heard at {to}: wait for"
                " them, or move --anyway"
            )

    def _left(self, to: str, ip: str | None) -> tuple[Part, ...]:
        event, at = migration_events.leaving(to, ip), stamp(self._clock())
        self._to = to
        try:
            # All that passed before is done when this is.
            newest = self._database.write(lambda tx: events.record(tx, event, at=at), always=True)
            with contextlib.ExitStack() as stack:
                folder = stack.enter_context(publish.scratch_directory(self._state_dir, "leaving"))
                parts = self._copied(folder)
                lease = _Lease(to, newest, folder, parts, 0.0, stack.pop_all())
            with self._lock:
                self._renew(lease)
                self._lease = lease
        except BaseException:
            self._to = ""
            raise
        return parts

    def _copied(self, folder: Path) -> tuple[Part, ...]:
        snapshot.copy(self._database.path, folder / STATE)
        found = verify_archive(folder / STATE)
        if not found.sound:
            raise StorageError(f"the database is not sound, and stays: {found.problems[0]}")
        catalog = self._catalog_file
        files = {name: self._state_dir / name for name in SECRETS}
        files |= {CATALOG: catalog, CATALOG_SOURCE: catalog.with_name(catalog.name + ".source")}
        for name, path in files.items():
            if path.is_file():
                publish.write_file(folder / name, path.read_bytes())
        return tuple(
            Part(path.name, path.stat().st_size, sha256_of(path))
            for path in sorted(folder.iterdir())
        )

    def _has_ended(self) -> bool:
        lease = self._lease
        return lease is not None and not lease.reading and self._steady() > lease.until

    def _renew(self, lease: _Lease) -> None:
        lease.until = self._steady() + LEASE_SECONDS

    def _drop(self) -> None:
        lease, self._lease, self._to = self._lease, None, ""
        if lease is not None:
            lease.kept.close()


def _facts(tx: Tx) -> tuple[str, int, int]:
    """The id of the instance, how many machines it knows, and how many are in the middle of it."""
    counts = machines.counts_by_mode_and_phase(tx)
    flashing = sum(count for _mode, phase, count in counts if phase == "booted")
    return instance.get(tx, "instance_id") or "", machines.count_all(tx), flashing

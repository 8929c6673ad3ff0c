"""What was seen of boots: kept in memory at once, written in batches by a thread of its own.

Whoever notes a stage never waits for the disk: firmware is answered as fast as before. A server
that is killed loses the stages of the last seconds; the facts themselves (contacts, plans,
reports) are rows of the audit, written in their own transactions.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Protocol

from bty_app.domain.boot_stages import Seen, Stage, merged, plain, said_before
from bty_app.domain.boot_timeline import Boot, boots
from bty_app.domain.mac import Mac, parse_mac
from bty_app.errors import BtyError, InvalidInputError
from bty_app.services.clock import Clock, utc_now
from bty_app.services.revisions import Revisions
from bty_app.store import boot_stages
from bty_app.store.database import Database, Tx

TOPIC = "stages"
MACHINES_WAITING = 4096  # whose stages are not written yet
STAGES_WAITING = 200  # of each
ADDRESSES = 4096
STRAYS = 16  # stages of an address whose machine is not known yet
BATCH = 64  # machines in one transaction: a contact waits behind no more
# How long the stages of a machine wait for its record, and those of an address for its machine.
PATIENCE = timedelta(minutes=10)
# Two machines behind one address within this time: nobody can say whose its stages are.
SHARED = timedelta(minutes=10)


class Note(Protocol):
    """Takes a stage that was seen now."""

    def __call__(self, stage: Stage, mac: Mac | None, ip: str | None, **detail: object) -> None: ...


def unnoted(stage: Stage, mac: Mac | None, ip: str | None, **detail: object) -> None:
    """For a service that stands alone: nobody keeps stages."""


class BootStages:
    """The stages of boots. Any thread may call."""

    def __init__(self, database: Database, revisions: Revisions, clock: Clock = utc_now) -> None:
        self._database = database
        self._revisions = revisions
        self._clock = clock
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._waiting: OrderedDict[Mac, list[Seen]] = OrderedDict()
        self._writing: dict[Mac, list[Seen]] = {}
        self._whose: OrderedDict[str, tuple[Mac | None, datetime]] = OrderedDict()
        self._strays: OrderedDict[str, deque[Seen]] = OrderedDict()

    def seen(
        self, mac: str | None, ip: str | None, stage: str, at: datetime, detail: object = None
    ) -> None:
        """A stage that the network boot services saw; one that nobody knows is passed over.

        `at` has a time zone; `detail` is a mapping of plain values, or a text.
        """
        try:
            known = parse_mac(mac) if mac else None
            what = Stage(stage)
        except (InvalidInputError, ValueError):
            return
        address = None if ip == "0.0.0.0" else ip  # noqa: S104 - of who has no address yet
        self._take(known, Seen(at, what, address, plain(detail)))

    def note(self, stage: Stage, mac: Mac | None, ip: str | None, **detail: object) -> None:
        """A stage that was seen now."""
        self._take(mac, Seen(self._clock(), stage, ip, plain(detail)))

    def of(self, mac: Mac) -> list[Seen]:
        """All stages of a machine that are known, oldest first."""
        with self._lock:
            waiting = [*self._writing.get(mac, ()), *self._waiting.get(mac, ())]
        stored = self._database.read(lambda tx: boot_stages.of(tx, mac))
        known = {(seen.at, seen.stage) for seen in stored}
        return [*stored, *(seen for seen in waiting if (seen.at, seen.stage) not in known)]

    def timeline(self, mac: Mac) -> list[Boot]:
        """The boots of a machine, newest first."""
        return boots(self.of(mac), self._clock())

    def flush(self) -> int:
        """Write what waits; how many stages were written. What cannot be written goes on waiting.

        Raises:
            BtyError: the database did not take it; nothing is lost.
        """
        with self._flushing:
            # Those without a record go back to the end of what waits: one round each, no more.
            rounds = -(-len(self._waiting) // BATCH)
            return sum(self._flush_batch() for _round in range(rounds))

    def _flush_batch(self) -> int:
        batch = self._batch()
        try:
            homeless = self._database.write(lambda tx: _written(tx, batch))
        except BtyError:
            self._back(batch)
            raise
        young = self._clock() - PATIENCE
        self._back({mac: batch[mac] for mac in homeless if batch[mac][-1].until > young})
        return sum(len(found) for mac, found in batch.items() if mac not in homeless)

    def _take(self, mac: Mac | None, seen: Seen) -> None:
        with self._lock:
            whose = mac or self._owner(seen.ip, seen.at)
            if whose is None:
                self._stray(seen)
                return
            if mac and seen.ip:
                strays = self._strays.pop(seen.ip, ())
                if self._owns(mac, seen.ip, seen.at):
                    for stray in strays:
                        if seen.at - stray.at <= PATIENCE:
                            self._add(whose, stray)
            self._add(whose, seen)
        self._revisions.bump(frozenset({TOPIC}))

    def _add(self, mac: Mac, seen: Seen) -> None:
        waiting = self._waiting.setdefault(mac, [])
        place = said_before(waiting, seen)
        if place is not None:
            waiting[place] = merged(waiting[place], seen)
        else:
            waiting.append(seen)
            del waiting[:-STAGES_WAITING]
        self._waiting.move_to_end(mac)
        while len(self._waiting) > MACHINES_WAITING:
            self._waiting.popitem(last=False)

    def _owner(self, ip: str | None, at: datetime) -> Mac | None:
        mac, since = self._whose.get(ip or "", (None, at))
        return mac if at - since <= PATIENCE else None

    def _owns(self, mac: Mac, ip: str, at: datetime) -> bool:
        """Note whose an address is; False when it is that of several machines."""
        before, since = self._whose.get(ip, (mac, at))
        shared = before != mac and at - since <= SHARED
        # The time stays with what is shared, so that it is forgotten when the sharing ends.
        self._whose[ip] = (None, since) if shared else (mac, at)
        self._whose.move_to_end(ip)
        while len(self._whose) > ADDRESSES:
            self._whose.popitem(last=False)
        return not shared

    def _stray(self, seen: Seen) -> None:
        if not seen.ip or (seen.ip in self._whose and self._whose[seen.ip][0] is None):
            return
        self._strays.setdefault(seen.ip, deque(maxlen=STRAYS)).append(seen)
        self._strays.move_to_end(seen.ip)
        while len(self._strays) > ADDRESSES:
            self._strays.popitem(last=False)

    def _batch(self) -> dict[Mac, list[Seen]]:
        with self._lock:
            macs = list(self._waiting)[:BATCH]
            self._writing = {mac: self._waiting.pop(mac) for mac in macs}
            return self._writing

    def _back(self, batch: Mapping[Mac, list[Seen]]) -> None:
        with self._lock:
            for mac, found in batch.items():
                newer = self._waiting.pop(mac, [])
                self._waiting[mac] = [*found, *newer][-STAGES_WAITING:]
            self._writing = {}
            while len(self._waiting) > MACHINES_WAITING:
                self._waiting.popitem(last=False)


def _written(tx: Tx, batch: Mapping[Mac, list[Seen]]) -> set[Mac]:
    """Write a batch; the machines that have no record."""
    homeless: set[Mac] = set()
    for mac, found in batch.items():
        in_order = sorted(found, key=lambda seen: seen.at)
        if not boot_stages.append(tx, mac, in_order):
            homeless.add(mac)
    boot_stages.trim(tx)
    return homeless

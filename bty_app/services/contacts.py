"""A machine asks what to boot."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from bty_app.domain import machine_events
from bty_app.domain.boot import Ask, Decision, FirmwareExit, LiveEnv, LocalDisk, Wait
from bty_app.domain.boot_stages import Stage
from bty_app.domain.events import Event
from bty_app.domain.mac import Mac
from bty_app.domain.machine import Phase
from bty_app.domain.moments import stamp
from bty_app.domain.remembered import remembered
from bty_app.errors import ConflictError, StorageError
from bty_app.services.aside import Aside
from bty_app.services.clock import Clock, utc_now
from bty_app.services.decisions import (
    Decided,
    Moment,
    decided,
    enter_next_phase,
    remember_rules,
    stored_or_unknown,
    without_a_record,
)
from bty_app.services.discovery import Bounds, seen
from bty_app.services.settings import Settings
from bty_app.store import events
from bty_app.store.database import Database, Tx


class Contacts:
    """Answers firmware, and remembers what it answered."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        bounds: Bounds,
        clock: Clock = utc_now,
        *,
        aside: Aside,
    ) -> None:
        self._database = database
        self._settings = settings
        self._bounds = bounds
        self._clock = clock
        self._aside = aside

    def answer(self, mac: Mac, *, ip: str | None) -> Decided:
        """Record the contact, decide, and remember the decision: one transaction.

        Where nothing can be recorded (a full disk, a database that another program holds) the
        answer comes from what is stored, and begins nothing (PITFALLS P-29). Where nothing can be
        read either, it comes from memory.

        Raises:
            ThrottledError: an unknown machine, and too many of them lately.
        """
        if not self._bounds.may_record(mac):
            return self.preview(mac)
        moment = Moment(self._clock(), self._settings.limits(), rules=self._settings.rules())
        at = stamp(moment.now)

        def change(tx: Tx) -> Decided:
            machine = seen(tx, self._bounds, mac, ip=ip, at=at)
            what = decided(tx, machine, Ask.CONTACT, moment)
            _remember(tx, what, ip=ip, at=at)
            remember_rules(tx, what, moment)
            return what

        try:
            what = self._database.write(change)
            self._aside.last.keep(mac, what.decision)
        except (StorageError, ConflictError) as error:
            what = self._unrecorded(mac, replace(moment, storable=False))
            event = _offered(what, ip=ip)
            self._aside.late.keep(event, at=at, why=error.message)
        self._aside.note(Stage.SCRIPT, mac, ip, **_told(what.decision))
        return what

    def _unrecorded(self, mac: Mac, moment: Moment) -> Decided:
        """The answer from what is stored, or from memory where that cannot be read."""
        try:
            return self._read(mac, moment)
        except (StorageError, ConflictError):
            told = remembered(self._aside.last.of(mac))
            return without_a_record(mac, told, moment)

    def preview(self, mac: Mac) -> Decided:
        """What the machine would be told, changing nothing at all."""
        return self._read(
            mac, Moment(self._clock(), self._settings.limits(), rules=self._settings.rules())
        )

    def _read(self, mac: Mac, moment: Moment) -> Decided:
        def query(tx: Tx) -> Decided:
            machine = stored_or_unknown(tx, mac, at=stamp(moment.now))
            return decided(tx, machine, Ask.CONTACT, moment)

        return self._database.read(query)


def _told(decision: Decision) -> dict[str, object]:
    """The offer as a stage of the boot."""
    reason: dict[str, object] = {"reason": decision.reason.value}
    match decision.offer:
        case LiveEnv(purpose):
            return {"offer": "live", "purpose": purpose.value} | reason
        case LocalDisk(drive):
            return {"offer": "disk", "drive": drive} | reason
        case FirmwareExit():
            return {"offer": "exit"} | reason
        case Wait(seconds):
            return {"offer": "wait", "seconds": seconds} | reason
        case _:
            assert_never(decision.offer)


def _remember(tx: Tx, what: Decided, *, ip: str | None, at: str) -> None:
    enter_next_phase(tx, what, at=at)
    machine, decision = what.machine, what.decision
    events.record(tx, _offered(what, ip=ip), at=at)
    if decision.next_phase is Phase.HELD and machine.phase is not Phase.HELD:
        events.record(tx, machine_events.held(machine), at=at)


def _offered(what: Decided, *, ip: str | None) -> Event:
    name = what.entry.name if what.entry else None
    return machine_events.offered(what.machine, what.decision, name, ip)

"""A live environment reports: files fetched, inventory, progress, done, failed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from bty_app.domain import machine_events
from bty_app.domain.boot import (
    Arming,
    Ask,
    Report,
    on_done,
    on_failed,
    on_fetch,
    on_inventory,
    wizard_may_write,
)
from bty_app.domain.boot_stages import Stage
from bty_app.domain.inventory import Inventory
from bty_app.domain.mac import Mac
from bty_app.domain.machine import Machine, Phase
from bty_app.domain.moments import stamp
from bty_app.domain.progress import ProgressReport
from bty_app.domain.settings import SILENCE_FACTOR_WITHOUT_PROGRESS
from bty_app.errors import NotFoundError, ThrottledError
from bty_app.services.boot_stages import Note, unnoted
from bty_app.services.clock import Clock, utc_now
from bty_app.services.decisions import Decided, Moment, count_attempt, decided
from bty_app.services.discovery import Bounds, seen
from bty_app.services.hardware import compare, reported
from bty_app.services.settings import Settings
from bty_app.store import events, machines
from bty_app.store.database import Database, Tx

REPORT_RETRY_SECONDS = 10


class Reports:
    """Takes what machines say of themselves; each report is one transaction."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        bounds: Bounds,
        clock: Clock = utc_now,
        *,
        note: Note = unnoted,
    ) -> None:
        self._database = database
        self._settings = settings
        self._bounds = bounds
        self._clock = clock
        self._note = note

    def fetched(self, mac: Mac) -> None:
        """A GET of a kernel or initrd has started (CONTRACT 3.7). Unknown machines are ignored."""
        moment = self._moment()
        if self._database.read(lambda tx: _arming(tx, mac, moment)) is None:
            return

        def change(tx: Tx) -> None:
            arming = _arming(tx, mac, moment)
            if arming is not None:
                count_attempt(tx, mac, moment)
                machines.arm(tx, mac, attempts=arming.attempts, at=stamp(moment.now))
                events.record(tx, machine_events.armed(mac), at=stamp(moment.now))

        self._database.write(change)

    def inventory(self, mac: Mac, inventory: Inventory, *, ip: str | None) -> None:
        """Store what hardware there is (CONTRACT 3.5).

        Raises:
            NotFoundError: there is no record of this machine; none is made.
        """

        new = reported(inventory)  # parsed and packed before the writer's turn

        def change(tx: Tx, what: Decided, at: str) -> None:
            compare(tx, mac, new, ip=ip, at=at)
            machines.set_inventory(tx, mac, disks=inventory.disks, lshw=inventory.lshw, at=at)
            if on_inventory(what.facts):
                machines.set_phase(tx, mac, Phase.DONE, at=at)
            events.record(tx, machine_events.inventory(mac, inventory, ip), at=at)

        self._report(mac, "inventory", ip, change, disk_count=inventory.count)
        self._note(Stage.INVENTORY, mac, ip, disks=inventory.count)

    def done(self, mac: Mac, extras: str | None = None, *, ip: str | None) -> None:
        """A flash is complete (CONTRACT 3.6), and `extras` was done besides. Said twice, it is told
        once.

        Raises:
            NotFoundError: there is no record of this machine.
        """
        moment = self._moment()
        limits = moment.limits

        def change(tx: Tx, what: Decided, at: str) -> None:
            machine = what.machine
            meaning = on_done(what.facts, ordered=machine.ordered_at is not None, limits=limits)
            repeated = meaning is Report.FREE and _just_told(machine, moment)
            if meaning is Report.DUPLICATE or repeated:
                return
            if meaning is Report.STALE:
                events.record(tx, machine_events.stale(mac, ip), at=at)
                return
            machines.flashed(tx, mac, at=at)
            if meaning is Report.COUNTS:
                machines.set_phase(tx, mac, Phase.DONE, at=at)
            events.record(tx, machine_events.flashed(mac, ip, extras), at=at)

        self._report(mac, "done", ip, change)
        self._note(Stage.FLASHED, mac, ip)

    def failed(self, mac: Mac, reason: str | None, *, ip: str | None) -> None:
        """A flash has failed; the machine is not sent to its disk.

        Raises:
            NotFoundError: there is no record of this machine.
        """

        limits = self._settings.limits()

        def change(tx: Tx, what: Decided, at: str) -> None:
            if on_failed(what.facts, ordered=what.machine.ordered_at is not None):
                machines.flash_failed(tx, mac, at=at)
            elif wizard_may_write(what.facts, limits):
                machines.suspect_disk(tx, mac)
            events.record(tx, machine_events.flash_failed(mac, reason, ip), at=at)

        self._report(mac, "failed", ip, change)
        self._note(Stage.FLASH_FAILED, mac, ip, reason=reason)

    def booted(self, mac: Mac, *, ip: str | None) -> None:
        """The operating system of a machine says that it is up.

        Raises:
            NotFoundError: there is no record of this machine.
        """

        def change(tx: Tx, _what: Decided, at: str) -> None:
            machines.booted(tx, mac, at=at)
            events.record(tx, machine_events.booted(mac, ip), at=at)

        self._report(mac, "booted", ip, change)
        self._note(Stage.BOOTED, mac, ip)

    def progress(self, mac: Mac, report: ProgressReport, *, ip: str | None) -> None:
        """How far a flash is; the last word is kept, not each one.

        Raises:
            NotFoundError: there is no record of this machine.
        """

        def change(tx: Tx, _what: Decided, at: str) -> None:
            machines.set_progress(
                tx,
                mac,
                machines.Progress(
                    at,
                    report.phase,
                    report.bytes_done,
                    report.bytes_total,
                    report.rate,
                    report.error,
                ),
            )

        self._report(mac, "progress", ip, change)
        self._note(Stage.FLASHING, mac, ip, phase=report.phase)

    def report_silence(self) -> int:
        """Make a fault event for each flash that nobody has heard of for too long.

        Returns:
            How many there were.
        """
        now = self._clock()
        limit = timedelta(minutes=self._settings.silence_minutes())
        reporting = stamp(now - limit)
        other = stamp(now - limit * SILENCE_FACTOR_WITHOUT_PROGRESS)
        if not self._database.read(
            lambda tx: machines.silent(tx, reporting_before=reporting, other_before=other)
        ):
            return 0

        def change(tx: Tx) -> int:
            silent = machines.silent(tx, reporting_before=reporting, other_before=other)
            for machine, heard in silent:
                machines.set_silence_reported(tx, machine.mac)
                events.record(tx, machine_events.silent(machine, heard), at=stamp(now))
            tx.touch("machines")
            return len(silent)

        return self._database.write(change)

    def report_never_up(self) -> int:
        """Make a fault event for each flashed system that has not said in time that it is up.

        Returns:
            How many there were.
        """
        now = self._clock()
        before = stamp(now - timedelta(minutes=self._settings.up_minutes()))
        if not self._database.read(lambda tx: machines.never_up(tx, flashed_before=before)):
            return 0

        def change(tx: Tx) -> int:
            found = machines.never_up(tx, flashed_before=before)
            for machine in found:
                machines.set_silence_reported(tx, machine.mac)
                events.record(tx, machine_events.never_up(machine), at=stamp(now))
            tx.touch("machines")
            return len(found)

        return self._database.write(change)

    def _report(
        self,
        mac: Mac,
        signal: str,
        ip: str | None,
        change: Callable[[Tx, Decided, str], None],
        **details: object,
    ) -> None:
        moment = self._moment()
        at = stamp(moment.now)
        if signal != "done" and not self._bounds.may_record(mac):
            raise ThrottledError(f"too many reports of {mac}", retry_after=REPORT_RETRY_SECONDS)

        def taken(tx: Tx) -> bool:
            if machines.get(tx, mac) is None:
                self._bounds.discover(ip)
                events.record(tx, machine_events.orphan(mac, signal, ip, details), at=at)
                return False
            machine = seen(tx, self._bounds, mac, ip=ip, at=at)
            change(tx, decided(tx, machine, Ask.PLAN, moment), at)
            return True

        if not self._database.write(taken):
            raise NotFoundError(f"no machine record for {mac}")

    def _moment(self) -> Moment:
        return Moment(self._clock(), self._settings.limits(), rules=self._settings.rules())


def _arming(tx: Tx, mac: Mac, moment: Moment) -> Arming | None:
    machine = machines.get(tx, mac)
    if machine is None:
        return None
    return on_fetch(decided(tx, machine, Ask.CONTACT, moment).facts, moment.limits)


def _just_told(machine: Machine, moment: Moment) -> bool:
    """Outside a cycle nothing but the time tells a repeat from a second flash."""
    if machine.last_flashed_at is None:
        return False
    age = moment.now - datetime.fromisoformat(machine.last_flashed_at)
    return timedelta(0) <= age <= timedelta(seconds=moment.limits.grace_seconds)

"""Operators list, assign and forget machines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from bty_app.domain import machine_events
from bty_app.domain.mac import Mac
from bty_app.domain.machine import (
    FLASH_MODES,
    Assignment,
    BootMode,
    Machine,
    State,
    assigned,
    changes_labels_alone,
)
from bty_app.domain.moments import stamp
from bty_app.errors import ConflictError, NotFoundError
from bty_app.services.architecture import architecture_of
from bty_app.services.clock import Clock, utc_now
from bty_app.store import events, machine_pages, machines, orders
from bty_app.store.database import Database, Tx
from bty_app.store.machine_pages import Page
from bty_app.store.machines import Progress
from bty_app.store.orders import Order

__all__ = ["Machines", "Page", "Progress", "Shown"]

T = TypeVar("T")

SLICE = 500


@dataclass(frozen=True, slots=True)
class Shown:
    """A machine as an operator sees it. `known_disks` is JSON text."""

    machine: Machine
    labels: tuple[str, ...]
    known_disks: str | None
    progress: Progress | None
    order: Order | None = None


class Machines:
    """The operator's acts on machine records."""

    def __init__(
        self,
        database: Database,
        clock: Clock = utc_now,
        *,
        on_bound: Callable[[str], None] = lambda _ref: None,
    ) -> None:
        """`on_bound` hears of each image that a machine is to be flashed with, after it is so."""
        self._database = database
        self._clock = clock
        self._on_bound = on_bound

    def now(self) -> datetime:
        """The moment, by the clock that records are stamped with."""
        return self._clock()

    def get(self, mac: Mac) -> Shown:
        """One machine.

        Raises:
            NotFoundError: there is no record of it.
        """

        def query(tx: Tx) -> Shown | None:
            machine = machines.get(tx, mac)
            return _shown(tx, machine) if machine else None

        return _found(self._database.read(query), mac)

    def exists(self, mac: Mac) -> bool:
        """Is there a record of it?"""
        return self._database.read(lambda tx: machines.get(tx, mac)) is not None

    def listed(self, page: Page) -> list[Shown]:
        """One page of machines."""
        return self._database.read(
            lambda tx: [_shown(tx, machine) for machine in machine_pages.listed(tx, page)]
        )

    def matching(self, page: Page, after: str) -> list[Shown]:
        """The first machines that match and follow `after`, in the order of MACs."""

        def query(tx: Tx) -> list[Shown]:
            found = machine_pages.matching(tx, page, after, limit=page.limit)
            every = (machines.get(tx, mac) for mac in found)
            return [_shown(tx, machine) for machine in every if machine]

        return self._database.read(query)

    def every(self) -> Iterator[Shown]:
        """All machines in the order of MACs, read in slices."""
        part = self._slice("")
        while part:
            yield from part
            part = self._slice(part[-1].machine.mac)

    def count(self, page: Page) -> int:
        """How many machines match, over all pages."""
        return self._database.read(lambda tx: machine_pages.count(tx, page))

    def states(self) -> tuple[dict[tuple[BootMode, State], int], int]:
        """How many of each mode are in each state that there is, and the bytes a second of all
        flashes.
        """
        return self._database.read(lambda tx: (machine_pages.states(tx), machine_pages.rate(tx)))

    def state(self, mac: Mac) -> State:
        """How a machine is at a glance.

        Raises:
            NotFoundError: there is no record of it.
        """
        return _found(self._database.read(lambda tx: machine_pages.state_of(tx, mac)), mac)

    def has_booted(self) -> bool:
        """Whether any machine has been here again after a flash of it was complete."""
        return self._database.read(machine_pages.has_booted)

    def save(
        self, mac: Mac, wanted: Assignment, *, ip: str | None, seen: Assignment | None = None
    ) -> Shown:
        """Replace what is set of a machine; an unknown one is created.

        It is armed anew, unless nothing but its labels changed. `seen` is what whoever saves
        believes to be set: where something else is set meanwhile, nothing is saved.

        Raises:
            ConflictError: something else is set than `seen` says.
        """
        at = stamp(self._clock())

        def change(tx: Tx) -> tuple[Shown, bool]:
            before = machines.get(tx, mac)
            if seen and before and assigned(before, machines.labels(tx, mac)) != seen:
                raise ConflictError(f"{mac} was saved by somebody else meanwhile")
            only_labels = bool(
                before and changes_labels_alone(before, machines.labels(tx, mac), wanted)
            )
            if only_labels:
                machines.set_labels(tx, mac, wanted.labels, at=at)
                events.record(tx, machine_events.labelled(mac, wanted, ip), at=at)
            else:
                created = machines.assign(tx, mac, wanted, at=at)
                events.record(tx, machine_events.saved(mac, wanted, created=created, ip=ip), at=at)
            machine = machines.get(tx, mac)
            assert machine is not None  # noqa: S101 - written above, in this transaction
            return _shown(tx, machine), not only_labels

        shown, is_armed = self._database.write(change)
        if is_armed and wanted.image_ref is not None and wanted.boot_mode in FLASH_MODES:
            self._on_bound(wanted.image_ref)
        return shown

    def forget(self, mac: Mac, *, ip: str | None) -> None:
        """Delete a record with its labels and hardware.

        Raises:
            NotFoundError: there is no record of it.
        """
        at = stamp(self._clock())

        def change(tx: Tx) -> bool:
            if not machines.forget(tx, mac):
                return False
            events.record(tx, machine_events.deleted(mac, ip), at=at)
            return True

        if not self._database.write(change):
            raise NotFoundError(f"no machine record for {mac}")

    def _slice(self, after: str) -> list[Shown]:
        return self._database.read(
            lambda tx: [_shown(tx, machine) for machine in machines.after(tx, after, limit=SLICE)]
        )

    def known_disks(self, mac: Mac) -> str:
        """The stored disk list, JSON text.

        Raises:
            NotFoundError: no record, or no inventory yet.
        """
        return _found(self._database.read(lambda tx: machines.known_disks(tx, mac)), mac)

    def lshw(self, mac: Mac) -> str:
        """The stored hardware tree, JSON text.

        Raises:
            NotFoundError: no record, or no inventory yet.
        """
        return _found(self._database.read(lambda tx: machines.lshw(tx, mac)), mac)

    def architecture(self, mac: Mac) -> str | None:
        """`x86_64`, `arm64` or `i386`; None where nothing says."""
        return self._database.read(lambda tx: architecture_of(tx, mac))


def _found(value: T | None, mac: Mac) -> T:
    if value is None:
        raise NotFoundError(f"no machine record for {mac}")
    return value


def _shown(tx: Tx, machine: Machine) -> Shown:
    return Shown(
        machine=machine,
        labels=tuple(machines.labels(tx, machine.mac)),
        known_disks=machines.known_disks(tx, machine.mac),
        progress=machines.progress(tx, machine.mac),
        order=orders.get(tx, machine.mac) if machine.boot_mode in FLASH_MODES else None,
    )

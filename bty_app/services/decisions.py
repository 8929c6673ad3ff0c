"""The boot decision for a stored machine, made inside the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bty_app.domain.boot import Ask, Decision, Limits, Situation, decide, situation
from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.mac import Mac
from bty_app.domain.machine import BootMode, Machine, Phase
from bty_app.store import catalog, machines
from bty_app.store.database import Tx


@dataclass(frozen=True, slots=True)
class Moment:
    """When it is decided, within which bounds, and whether the outcome can be recorded."""

    now: datetime
    limits: Limits
    storable: bool = True


@dataclass(frozen=True, slots=True)
class Decided:
    """A machine, the image it is bound to, and what was decided for it."""

    machine: Machine
    entry: CatalogEntry | None
    facts: Situation
    decision: Decision


def decided(tx: Tx, machine: Machine, ask: Ask, moment: Moment) -> Decided:
    """Decide for `machine`; nothing is written."""
    entry = catalog.by_ref(tx, machine.image_ref) if machine.image_ref else None
    facts = situation(
        machine,
        image_known=entry is not None and bool(entry.name),
        now=moment.now,
        storable=moment.storable,
    )
    return Decided(machine, entry, facts, decide(facts, ask, moment.limits))


def stored_or_unknown(tx: Tx, mac: Mac, *, at: str) -> Machine:
    """The stored record, or the one that a first contact would make."""
    return machines.get(tx, mac) or _unknown(mac, at)


def enter_next_phase(tx: Tx, what: Decided, *, at: str) -> None:
    """Carry out the decision's change of phase."""
    if what.decision.next_phase is not what.machine.phase:
        machines.set_phase(tx, what.machine.mac, what.decision.next_phase, at=at)


def _unknown(mac: Mac, at: str) -> Machine:
    return Machine(
        mac=mac,
        image_ref=None,
        discovered_at=None,
        last_seen_at=None,
        last_seen_ip=None,
        boot_mode=BootMode.INVENTORY,
        sanboot_drive=None,
        last_flashed_at=None,
        known_disks_at=None,
        hw_lshw_at=None,
        target_disk_serial=None,
        created_at=at,
        updated_at=at,
        phase=Phase.IDLE,
        phase_at=None,
        attempts=0,
        ordered_at=None,
        disk_suspect=False,
    )

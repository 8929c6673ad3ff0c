"""The boot decision for a stored machine, made inside the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bty_app.domain import flash_rules, machine_events
from bty_app.domain.boot import (
    Ask,
    Decision,
    Limits,
    LiveEnv,
    Purpose,
    Situation,
    decide,
    situation,
)
from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.flash_rules import NO_RULES, Facts, Hold, Rule, Rules
from bty_app.domain.image_fit import misfit
from bty_app.domain.mac import Mac
from bty_app.domain.machine import FLASH_MODES, BootMode, Machine, Phase
from bty_app.domain.moments import stamp
from bty_app.services.architecture import architecture_of
from bty_app.store import catalog, events, machines, orders
from bty_app.store.database import Tx


@dataclass(frozen=True, slots=True)
class Moment:
    """When it is decided, within which bounds, and whether the outcome can be recorded."""

    now: datetime
    limits: Limits
    storable: bool = True
    rules: Rules = NO_RULES

    @property
    def window(self) -> str:
        """Since when attempts count for the hourly bound."""
        return stamp(self.now - timedelta(seconds=flash_rules.WINDOW_SECONDS))


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
        hold=_hold(tx, machine, moment),
    )
    decision = decide(facts, ask, moment.limits)
    if decision.offer == LiveEnv(Purpose.FLASH) and entry is not None and entry.arch:
        words = misfit(entry, architecture_of(tx, machine.mac))
        if words:
            remedy = "choose another image, or correct what the catalog says of this one"
            facts = replace(facts, hold=Hold(Rule.ARCHITECTURE, f"{words}: {remedy}"))
            decision = decide(facts, ask, moment.limits)
    return Decided(machine, entry, facts, decision)


def remember_rules(tx: Tx, what: Decided, moment: Moment) -> None:
    """Count a flash that may begin now, and say once which rule holds one back.

    Call it in the transaction of the decision, after its change of phase.
    """
    machine, decision = what.machine, what.decision
    if machine.boot_mode not in FLASH_MODES:
        return
    order, at = orders.get(tx, machine.mac), stamp(moment.now)
    held = order.held_by if order else None
    if decision.hold is not None:
        if held != decision.reason.value or (order and order.held_until != decision.hold.until):
            since = _armed_at(machine, order) or moment.now
            rule, until = decision.reason.value, decision.hold.until
            orders.hold(tx, machine.mac, rule, until, at=stamp(since))
        if held != decision.reason.value:
            events.record(tx, machine_events.held_back(machine, decision), at=at)
    elif held is not None:
        orders.hold(tx, machine.mac, None, None, at=at)
    if decision.offer == LiveEnv(Purpose.FLASH):
        count_attempt(tx, machine.mac, moment)


def count_attempt(tx: Tx, mac: Mac, moment: Moment) -> None:
    """Count the attempt that the machine is about to begin, where attempts are bounded."""
    machine = machines.get(tx, mac)
    if machine is None or not moment.rules.per_hour or machine.boot_mode not in FLASH_MODES:
        return
    at = stamp(moment.now)
    orders.take_slot(tx, mac, _attempt(machine), at=at, since=moment.window)


def stored_or_unknown(tx: Tx, mac: Mac, *, at: str) -> Machine:
    """The stored record, or the one that a first contact would make."""
    return machines.get(tx, mac) or _unknown(mac, at)


def without_a_record(mac: Mac, decision: Decision, moment: Moment) -> Decided:
    """A decision that was made although nothing of the machine can be read."""
    machine = _unknown(mac, stamp(moment.now))
    facts = situation(machine, image_known=False, now=moment.now, storable=False)
    return Decided(machine, None, facts, decision)


def enter_next_phase(tx: Tx, what: Decided, *, at: str) -> None:
    """Carry out the decision's change of phase."""
    if what.decision.next_phase is not what.machine.phase:
        machines.set_phase(tx, what.machine.mac, what.decision.next_phase, at=at)


def order_ends(tx: Tx, machine: Machine, rules: Rules) -> datetime | None:
    """Until when the machine's order to flash counts; None when it has none, or it stays."""
    if machine.boot_mode not in FLASH_MODES or machine.phase is not Phase.IDLE:
        return None
    order = orders.get(tx, machine.mac)
    expires = order.expires_at if order else None
    own = datetime.fromisoformat(expires) if expires else None
    return flash_rules.ends_at(rules, _armed_at(machine, order), own)


def _hold(tx: Tx, machine: Machine, moment: Moment) -> Hold | None:
    """The rule that would keep the machine from being flashed now."""
    if machine.boot_mode not in FLASH_MODES:
        return None
    order, rules = orders.get(tx, machine.mac), moment.rules
    if rules == NO_RULES and (order is None or order.expires_at is None):
        return None
    attempt = _attempt(machine)
    began = orders.began_since(tx, moment.window, but=(machine.mac, attempt))
    expires = order.expires_at if order else None
    facts = Facts(
        at=moment.now,
        labels=machines.labels(tx, machine.mac) if rules.never_labels else (),
        armed_at=_armed_at(machine, order),
        expires_at=datetime.fromisoformat(expires) if expires else None,
        is_retry=machine.phase in {Phase.BOOTED, Phase.FAILED},
        began=tuple(datetime.fromisoformat(at) for at in began),
        has_slot=orders.has_slot(tx, machine.mac, attempt, moment.window),
    )
    return flash_rules.holding(rules, facts)


def _armed_at(machine: Machine, order: orders.Order | None) -> datetime | None:
    """Since when it is ordered; a record that came from elsewhere has no order of its own."""
    return datetime.fromisoformat(order.armed_at) if order else machine.phase_at


def _attempt(machine: Machine) -> str:
    """What tells the attempt that a machine may begin now from those before."""
    return f"{machine.phase.value} {machine.phase_at} {machine.attempts}"


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

"""What a machine boots next: one decision, for its script and for its plan.

A cycle runs IDLE -> BOOTED (it fetched the live environment) -> DONE (it reported) -> RELEASED
(it was sent to its disk); FAILED and HELD are the ways it can go wrong. `decide` reads a
situation and never a clock; the services carry out what it says (SPEC 6 and 16, CONTRACT 4.7).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import assert_never

from bty_app.domain.flash_rules import Hold, Rule
from bty_app.domain.machine import DEFAULT_DRIVE, FLASH_MODES, BootMode, Machine, Phase

# How long after the n-th attempt without success the next one waits, in seconds.
PAUSES = (0, 60, 300, 900)
HELD_POLL_SECONDS = 60
UNSTORABLE_POLL_SECONDS = 60


class Purpose(Enum):
    """What the live environment is booted for."""

    INVENTORY = "bty-inventory"
    FLASH = "flash"
    WIZARD = "bty-tui"


class Image(Enum):
    """What the machine's image binding leads to."""

    UNBOUND = "unbound"
    ORPHAN = "orphan"
    KNOWN = "known"


class Ask(Enum):
    """Who asks: firmware for a script, or a live environment for its plan."""

    CONTACT = "contact"
    PLAN = "plan"


class Reason(Enum):
    """Why the answer is what it is."""

    BY_MODE = "by-mode"
    AS_BOUND = "as-bound"
    RETRY = "retry"
    CYCLE_DONE = "cycle-done"
    NOT_BOUND = "not-bound"
    ORPHAN_REF = "orphan_ref"
    NO_TARGET_DISK = "no_target_disk"
    PAUSE = "pause"
    HELD = "held"
    GIVEN_UP = "given-up"
    UNPROVEN_DISK = "unproven-disk"
    NOT_STORABLE = "not-storable"
    FROM_MEMORY = "from-memory"
    PROTECTED_LABEL = "protected-label"
    ORDER_EXPIRED = "order-expired"
    OUT_OF_HOURS = "out-of-hours"
    HOURLY_LIMIT = "hourly-limit"
    WRONG_ARCHITECTURE = "wrong-architecture"


@dataclass(frozen=True, slots=True)
class LiveEnv:
    """Boot the live environment."""

    purpose: Purpose


@dataclass(frozen=True, slots=True)
class LocalDisk:
    """Boot the local disk, after a pause in which a person can read why."""

    drive: str
    pause_seconds: int = 1


@dataclass(frozen=True, slots=True)
class FirmwareExit:
    """Give the boot back to the firmware."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Stay in iPXE and ask again: the disk must not be booted now."""

    seconds: int


Offer = LiveEnv | LocalDisk | FirmwareExit | Wait


@dataclass(frozen=True, slots=True)
class Limits:
    """The operator's settings for a cycle."""

    grace_seconds: int = 120
    max_attempts: int = 5


@dataclass(frozen=True, slots=True)
class Situation:
    """All that the decision depends on.

    `age` is how many seconds the machine has been in its phase. `storable` is False while
    nothing can be recorded (a full or read-only disk): then nothing destructive may begin.
    `hold` is the rule of the site that keeps a flash from beginning now (domain/flash_rules.py).
    """

    mode: BootMode
    phase: Phase
    age: float
    attempts: int
    image: Image
    has_serial: bool
    drive: str = DEFAULT_DRIVE
    disk_suspect: bool = False
    storable: bool = True
    hold: Hold | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer, why, and the phase that the machine is in from now on; the rule that holds."""

    offer: Offer
    reason: Reason
    next_phase: Phase
    hold: Hold | None = None


@dataclass(frozen=True, slots=True)
class Arming:
    """The live environment is being fetched: a cycle (or another attempt) begins."""

    attempts: int


def situation(
    machine: Machine,
    *,
    image_known: bool,
    now: datetime,
    storable: bool = True,
    hold: Hold | None = None,
) -> Situation:
    """The situation of a stored machine at `now`."""
    if machine.image_ref is None:
        image = Image.UNBOUND
    else:
        image = Image.KNOWN if image_known else Image.ORPHAN
    since = machine.phase_at
    age = max(0.0, (now - since).total_seconds()) if since else float("inf")
    return Situation(
        mode=machine.boot_mode,
        phase=machine.phase,
        age=age,
        attempts=machine.attempts,
        image=image,
        has_serial=machine.target_disk_serial is not None,
        drive=machine.drive,
        disk_suspect=machine.disk_suspect,
        storable=storable,
        hold=hold,
    )


def decide(now: Situation, ask: Ask, limits: Limits) -> Decision:
    """What the machine boots, or what its live environment does.

    An explicit `ipxe-exit` is the operator's word and always leads to the disk. In every other
    mode a disk that was ordered to be written and never proven is not booted.
    """
    decision = _by_mode(now, ask, limits)
    if now.hold is not None and decision.offer == LiveEnv(Purpose.FLASH):
        fresh = ask is Ask.PLAN or now.age <= limits.grace_seconds
        decision = _held_back(now, now.hold, fresh and now.phase is Phase.BOOTED, decision)
    if not now.storable:
        decision = _without_storage(now, decision)
    leads_to_disk = isinstance(decision.offer, LocalDisk | FirmwareExit)
    if leads_to_disk and now.disk_suspect and now.mode is not BootMode.IPXE_EXIT:
        reason = decision.reason if decision.hold else Reason.UNPROVEN_DISK
        return Decision(Wait(HELD_POLL_SECONDS), reason, now.phase, decision.hold)
    return decision


def on_fetch(now: Situation, limits: Limits) -> Arming | None:
    """A GET of a kernel or initrd has started: does it begin an attempt?

    It does where the same decision offers the live environment for a cycle; a repeat within
    the grace time belongs to the attempt under way.
    """
    if now.mode not in FLASH_MODES and now.mode is not BootMode.INVENTORY:
        return None
    if not isinstance(decide(now, Ask.CONTACT, limits).offer, LiveEnv):
        return None
    if now.phase is Phase.BOOTED:
        return None if now.age <= limits.grace_seconds else Arming(now.attempts + 1)
    if now.phase is Phase.FAILED:
        return Arming(now.attempts + 1)
    return Arming(1)


class Report(Enum):
    """What a completion report means for the cycle."""

    COUNTS = "counts"
    FREE = "free"
    DUPLICATE = "duplicate"
    STALE = "stale"


def on_done(now: Situation, *, ordered: bool, limits: Limits) -> Report:
    """A live environment says that a flash is done: what is that worth?

    COUNTS ends the cycle; FREE is a flash that a person did in the wizard; DUPLICATE repeats
    one that was taken; STALE answers no order of this cycle and changes nothing.
    """
    if now.mode not in FLASH_MODES:
        return Report.FREE
    match now.phase:
        case Phase.BOOTED | Phase.FAILED | Phase.HELD:
            return Report.COUNTS
        case Phase.DONE | Phase.RELEASED:
            return Report.DUPLICATE
        case Phase.IDLE:
            if ordered:
                return Report.COUNTS
            # A rule that holds it back now makes no order of an old report.
            offer = decide(replace(now, hold=None), Ask.PLAN, limits).offer
            return Report.STALE if offer == LiveEnv(Purpose.FLASH) else Report.FREE
        case _:
            assert_never(now.phase)


def on_failed(now: Situation, *, ordered: bool) -> bool:
    """A live environment says that a flash failed: does that end the attempt?"""
    if now.mode not in FLASH_MODES:
        return False
    return now.phase is Phase.BOOTED or (now.phase is Phase.IDLE and ordered)


def wizard_may_write(now: Situation, limits: Limits) -> bool:
    """Does its plan lead to the wizard, where a person may flash any disk?"""
    offer = decide(now, Ask.PLAN, limits).offer
    return isinstance(offer, FirmwareExit) or offer == LiveEnv(Purpose.WIZARD)


def on_inventory(now: Situation) -> bool:
    """An inventory has arrived: does it end an inventory cycle?"""
    return now.mode is BootMode.INVENTORY and now.phase in {Phase.BOOTED, Phase.HELD}


def pause_after(attempts: int) -> int:
    """How many seconds the attempt after `attempts` unsuccessful ones waits."""
    return PAUSES[min(max(attempts, 1), len(PAUSES)) - 1]


def _by_mode(now: Situation, ask: Ask, limits: Limits) -> Decision:
    match now.mode:
        case BootMode.IPXE_EXIT:
            return Decision(LocalDisk(now.drive), Reason.BY_MODE, now.phase)
        case BootMode.TUI:
            return Decision(LiveEnv(Purpose.WIZARD), Reason.BY_MODE, now.phase)
        case BootMode.INVENTORY:
            return _cycle(now, ask, limits, Purpose.INVENTORY)
        case BootMode.FLASH_ONCE | BootMode.FLASH_ALWAYS:
            if now.image is Image.UNBOUND:
                return Decision(
                    LocalDisk(DEFAULT_DRIVE, pause_seconds=5), Reason.NOT_BOUND, now.phase
                )
            if now.image is Image.ORPHAN:
                return Decision(FirmwareExit(), Reason.ORPHAN_REF, now.phase)
            if not now.has_serial:
                return Decision(FirmwareExit(), Reason.NO_TARGET_DISK, now.phase)
            return _cycle(now, ask, limits, Purpose.FLASH)
        case _:
            assert_never(now.mode)


def _cycle(now: Situation, ask: Ask, limits: Limits, purpose: Purpose) -> Decision:
    fresh = now.age <= limits.grace_seconds
    repeats = now.mode is not BootMode.FLASH_ONCE
    match now.phase:
        case Phase.IDLE:
            return Decision(LiveEnv(purpose), Reason.AS_BOUND, Phase.IDLE)
        case Phase.BOOTED:
            if ask is Ask.PLAN or fresh:
                return Decision(LiveEnv(purpose), Reason.RETRY, Phase.BOOTED)
            return _again(now, limits, purpose)
        case Phase.FAILED:
            return _again(now, limits, purpose)
        case Phase.HELD:
            return _held(now, purpose)
        case Phase.RELEASED if repeats and not fresh:
            return Decision(LiveEnv(purpose), Reason.AS_BOUND, Phase.IDLE)
        case Phase.DONE | Phase.RELEASED:
            released = repeats and ask is Ask.CONTACT
            after = Phase.RELEASED if released else now.phase
            return Decision(LocalDisk(now.drive), Reason.CYCLE_DONE, after)
        case _:
            assert_never(now.phase)


def _again(now: Situation, limits: Limits, purpose: Purpose) -> Decision:
    """The attempt before ended without success: try again, later, or not at all."""
    if now.attempts >= limits.max_attempts:
        return replace(_held(now, purpose), next_phase=Phase.HELD)
    remaining = pause_after(now.attempts) - now.age
    if remaining > 0:
        return Decision(Wait(int(remaining) + 1), Reason.PAUSE, now.phase)
    return Decision(LiveEnv(purpose), Reason.RETRY, now.phase)


def _held_back(now: Situation, hold: Hold, begun: bool, decision: Decision) -> Decision:
    """Wait for as long as a rule holds, or boot a proven disk. What has begun goes on, but for what
    is never to be.
    """
    never = {Rule.LABEL, Rule.ARCHITECTURE}
    if begun and hold.rule not in never:
        return decision
    to_disk = hold.rule in {*never, Rule.EXPIRED} or now.phase is Phase.RELEASED
    offer: Offer = LocalDisk(now.drive) if to_disk else Wait(hold.seconds)
    return Decision(offer, Reason(hold.rule.value), now.phase, hold)


def _held(now: Situation, purpose: Purpose) -> Decision:
    """An inventory that never arrives leaves the disk as it was: boot it. A flash does not."""
    if purpose is Purpose.INVENTORY:
        return Decision(LocalDisk(now.drive), Reason.GIVEN_UP, now.phase)
    return Decision(Wait(HELD_POLL_SECONDS), Reason.HELD, now.phase)


def _without_storage(now: Situation, decision: Decision) -> Decision:
    """Nothing can be recorded: go on with what has begun, begin nothing."""
    same_phase = replace(decision, next_phase=now.phase)
    begins = isinstance(decision.offer, LiveEnv) and now.mode is not BootMode.TUI
    if not begins or now.phase is Phase.BOOTED:
        return same_phase
    if now.phase is Phase.FAILED:
        return Decision(Wait(UNSTORABLE_POLL_SECONDS), Reason.NOT_STORABLE, now.phase)
    return Decision(LocalDisk(now.drive), Reason.NOT_STORABLE, now.phase)

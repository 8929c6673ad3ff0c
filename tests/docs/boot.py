"""The boot decision as tables, from the function that decides."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from bty_app.domain.boot import (
    Ask,
    FirmwareExit,
    Image,
    Limits,
    LiveEnv,
    LocalDisk,
    Offer,
    Purpose,
    Situation,
    Wait,
    decide,
)
from bty_app.domain.machine import FLASH_MODES, MODE_NAMES, BootMode, Phase
from bty_app.web.ui.words import MODE_HELP
from tests.docs.tables import code, table

LIMITS = Limits()
_LATE = LIMITS.grace_seconds + 1.0
_READY = Situation(
    mode=BootMode.FLASH_ONCE,
    phase=Phase.IDLE,
    age=0.0,
    attempts=0,
    image=Image.KNOWN,
    has_serial=True,
)
_PHASES = {
    Phase.IDLE: "Nothing has begun since it was saved or discovered.",
    Phase.BOOTED: "It has fetched kernel or initrd of the live environment: an attempt is on.",
    Phase.FAILED: "Its live environment reported that the flash failed.",
    Phase.HELD: "All attempts are used up. Only a save begins anew.",
    Phase.DONE: "The report of success has arrived: the flash, or the inventory.",
    Phase.RELEASED: "It was sent to its disk after that.",
}
# What happened before the contact, as the row says it, and the situation that it makes.
_CASES: tuple[tuple[str, Phase, float, int], ...] = (
    ("armed: nothing fetched yet", Phase.IDLE, 0.0, 0),
    ("fetched, asks again within the grace time", Phase.BOOTED, 1.0, 1),
    ("fetched, silent, asks after the grace time", Phase.BOOTED, _LATE, 1),
    ("the same after the 2nd attempt", Phase.BOOTED, _LATE, 2),
    ("the same after the 3rd attempt", Phase.BOOTED, _LATE, 3),
    ("the same after the last attempt", Phase.BOOTED, 1e6, LIMITS.max_attempts),
    ("reported a failure", Phase.FAILED, 1.0, 1),
    ("reported the 2nd failure, within the pause", Phase.FAILED, 1.0, 2),
    ("reported the 2nd failure, after the pause", Phase.FAILED, _LATE, 2),
    ("reported a failure of the last attempt", Phase.FAILED, 1e6, LIMITS.max_attempts),
    ("held", Phase.HELD, 1e6, LIMITS.max_attempts),
    ("reported success", Phase.DONE, 1.0, 1),
    ("sent to its disk, asks again within the grace time", Phase.RELEASED, 1.0, 1),
    ("sent to its disk, asks again later", Phase.RELEASED, _LATE, 1),
)
_CYCLE_MODES = (BootMode.INVENTORY, BootMode.FLASH_ONCE, BootMode.FLASH_ALWAYS)


def modes() -> str:
    """The five modes."""
    rows = [(code(mode.value), MODE_NAMES[mode], MODE_HELP[mode]) for mode in BootMode]
    return table(("mode", "name on the page", "what it does"), *rows)


def phases() -> str:
    """The phases of a cycle."""
    return table(
        ("phase", "where the machine is"),
        *((code(phase.value), _PHASES[phase]) for phase in Phase),
    )


def not_ready() -> str:
    """Answers that do not depend on the cycle."""
    flash = " or ".join(code(mode.value) for mode in BootMode if mode in FLASH_MODES)
    cases = (
        (code(BootMode.IPXE_EXIT.value), replace(_READY, mode=BootMode.IPXE_EXIT)),
        (code(BootMode.TUI.value), replace(_READY, mode=BootMode.TUI)),
        (f"{flash}, no image bound", replace(_READY, image=Image.UNBOUND)),
        (f"{flash}, image not in the catalog", replace(_READY, image=Image.ORPHAN)),
        (f"{flash}, no target disk", replace(_READY, has_serial=False)),
    )
    return table(("situation", *_HEAD), *((name, *_answers(now)) for name, now in cases))


def cycles() -> str:
    """The answer in every phase, for each mode that has a cycle."""
    parts = []
    for mode in _CYCLE_MODES:
        rows = [
            (
                code(phase.value),
                about,
                *_answers(replace(_READY, mode=mode, phase=phase, age=age, attempts=attempts)),
            )
            for about, phase, age, attempts in _CASES
            if not (mode is BootMode.INVENTORY and phase is Phase.FAILED)
        ]
        parts.append(f"### {mode.value}\n\n{table(('phase', 'situation', *_HEAD), *rows)}")
    return "\n".join(parts)


def suspect() -> str:
    """Modes with a disk that was ordered to be written and never proven."""
    situations = (
        (mode, replace(_READY, mode=mode, disk_suspect=True, phase=phase))
        for mode, phase in (
            (BootMode.IPXE_EXIT, Phase.IDLE),
            (BootMode.INVENTORY, Phase.DONE),
            (BootMode.FLASH_ONCE, Phase.IDLE),
            (BootMode.TUI, Phase.IDLE),
        )
    )
    rows = [(code(mode.value), code(now.phase.value), *_answers(now)) for mode, now in situations]
    unbound = replace(_READY, image=Image.UNBOUND, disk_suspect=True)
    rows.append((f"{code('bty-flash-once')}, no image", code("idle"), *_answers(unbound)))
    return table(("mode", "phase", *_HEAD), *rows)


def not_storable() -> str:
    """What is answered while nothing can be recorded."""
    cases: Iterable[tuple[BootMode, Phase]] = (
        (BootMode.IPXE_EXIT, Phase.IDLE),
        (BootMode.TUI, Phase.IDLE),
        (BootMode.INVENTORY, Phase.IDLE),
        (BootMode.FLASH_ONCE, Phase.IDLE),
        (BootMode.FLASH_ONCE, Phase.BOOTED),
        (BootMode.FLASH_ONCE, Phase.FAILED),
        (BootMode.FLASH_ONCE, Phase.DONE),
    )
    rows = [
        (
            code(mode.value),
            code(phase.value),
            *_answers(replace(_READY, mode=mode, phase=phase, attempts=1, storable=False)),
        )
        for mode, phase in cases
    ]
    return table(("mode", "phase", *_HEAD), *rows)


_HEAD = ("firmware gets", "reason", "phase afterwards", "a live environment gets the plan")


def _answers(now: Situation) -> tuple[str, ...]:
    contact = decide(now, Ask.CONTACT, LIMITS)
    return (
        _words(contact.offer),
        code(contact.reason.value),
        code(contact.next_phase.value),
        _plan(now),
    )


def _words(offer: Offer) -> str:
    match offer:
        case LiveEnv(purpose):
            return f"the live environment ({purpose.value})"
        case LocalDisk():
            return "its disk"
        case FirmwareExit():
            return "back to the firmware"
        case Wait(seconds):
            return f"wait {seconds} s, ask again"


def _plan(now: Situation) -> str:
    if now.mode is BootMode.INVENTORY:
        return code("inventory")
    match decide(now, Ask.PLAN, LIMITS).offer:
        case LiveEnv(Purpose.FLASH):
            return code("flash")
        case LocalDisk():
            return code("exit")
        case Wait(seconds):
            return f"`interactive`, `retry_after` {seconds}"
        case _:
            return code("interactive")

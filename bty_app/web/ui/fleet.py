"""How the machines are, all together: a few numbers with their words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import assert_never

from bty_app.domain.machine import BootMode, Phase
from bty_app.services.machines import Count
from bty_app.web.ui.words import MODE_NAMES, Tone


@dataclass(frozen=True, slots=True)
class Part:
    """Machines of one mode that are in the same state."""

    tone: Tone
    words: str
    count: int


@dataclass(frozen=True, slots=True)
class Group:
    """The machines of one mode."""

    mode: BootMode
    parts: tuple[Part, ...]

    @property
    def name(self) -> str:
        """What the mode is called."""
        return MODE_NAMES[self.mode]

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(part.count for part in self.parts)


def groups(counts: Iterable[Count]) -> list[Group]:
    """The modes that machines have, in the order in which the pages list modes."""
    summed: dict[BootMode, Counter[tuple[Tone, str]]] = {mode: Counter() for mode in BootMode}
    for count in counts:
        summed[count.mode][_state(count.mode, count.phase)] += count.machines
    return [
        Group(mode, tuple(Part(tone, words, n) for (tone, words), n in parts.items()))
        for mode, parts in summed.items()
        if parts
    ]


def _state(mode: BootMode, phase: Phase) -> tuple[Tone, str]:
    match mode:
        case BootMode.IPXE_EXIT:
            return Tone.REST, "boot from disk"
        case BootMode.TUI:
            return Tone.WAIT, "wizard at next boot"
        case BootMode.INVENTORY:
            return _inventory(phase)
        case BootMode.FLASH_ONCE | BootMode.FLASH_ALWAYS:
            return _flash(phase)
        case _:
            assert_never(mode)


def _inventory(phase: Phase) -> tuple[Tone, str]:
    match phase:
        case Phase.IDLE:
            return Tone.WAIT, "inventory at next boot"
        case Phase.BOOTED:
            return Tone.WORK, "in the live environment"
        case Phase.FAILED | Phase.HELD:
            return Tone.FAULT, "no inventory came"
        case Phase.DONE | Phase.RELEASED:
            return Tone.GOOD, "inventory is here"
        case _:
            assert_never(phase)


def _flash(phase: Phase) -> tuple[Tone, str]:
    match phase:
        case Phase.IDLE:
            return Tone.WAIT, "flash at next boot"
        case Phase.BOOTED:
            return Tone.WORK, "being flashed"
        case Phase.FAILED:
            return Tone.FAULT, "failed, try again"
        case Phase.HELD:
            return Tone.FAULT, "held"
        case Phase.DONE | Phase.RELEASED:
            return Tone.GOOD, "flashed"
        case _:
            assert_never(phase)

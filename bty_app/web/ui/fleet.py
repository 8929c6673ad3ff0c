"""How the machines are, all together: a few numbers with their words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import assert_never

from bty_app.domain.machine import MODE_NAMES, BootMode, Phase, State
from bty_app.services.machines import Count
from bty_app.web.pages import human_size
from bty_app.web.ui.words import STATE_NAMES, STATE_TONES, Tone


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


@dataclass(frozen=True, slots=True)
class Share:
    """Machines in the same state; `more` is what else is to be said of them all."""

    state: State
    tone: Tone
    words: str
    count: int
    more: str = ""


def shares(counts: Mapping[State, int], rate: int) -> list[Share]:
    """The states that machines are in, in their order; `rate` is the bytes a second of all."""
    return [
        Share(
            state,
            STATE_TONES[state],
            STATE_NAMES[state],
            counts[state],
            f"{human_size(rate)}/s" if state is State.FLASHING and rate else "",
        )
        for state in State
        if counts.get(state)
    ]


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


_INVENTORY = {
    Phase.IDLE: (Tone.WAIT, "inventory at next boot"),
    Phase.BOOTED: (Tone.WORK, "in the live environment"),
    Phase.FAILED: (Tone.FAULT, "no inventory came"),
    Phase.HELD: (Tone.FAULT, "no inventory came"),
    Phase.DONE: (Tone.GOOD, "inventory is here"),
    Phase.RELEASED: (Tone.GOOD, "inventory is here"),
}
_FLASH = {
    Phase.IDLE: (Tone.WAIT, "flash at next boot"),
    Phase.BOOTED: (Tone.WORK, "being flashed"),
    Phase.FAILED: (Tone.FAULT, "failed, try again"),
    Phase.HELD: (Tone.FAULT, "held"),
    Phase.DONE: (Tone.GOOD, "flashed"),
    Phase.RELEASED: (Tone.GOOD, "flashed"),
}


def _state(mode: BootMode, phase: Phase) -> tuple[Tone, str]:
    match mode:
        case BootMode.IPXE_EXIT:
            return Tone.REST, "boot from disk"
        case BootMode.TUI:
            return Tone.WAIT, "wizard at next boot"
        case BootMode.INVENTORY:
            return _INVENTORY[phase]
        case BootMode.FLASH_ONCE | BootMode.FLASH_ALWAYS:
            return _FLASH[phase]
        case _:
            assert_never(mode)

"""How the machines are, all together: a few numbers with their words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from bty_app.domain.machine import MODE_NAMES, BootMode, State
from bty_app.web.pages import human_size
from bty_app.web.ui.words import STATE_NAMES, STATE_TONES, Tone

Counts = Mapping[tuple[BootMode, State], int]


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


def shares(counts: Counts, rate: int) -> list[Share]:
    """The states that machines are in, in their order; `rate` is the bytes a second of all."""
    summed: Counter[State] = Counter()
    for (_mode, state), machines in counts.items():
        summed[state] += machines
    return [
        Share(
            state,
            STATE_TONES[state],
            STATE_NAMES[state],
            summed[state],
            f"{human_size(rate)}/s" if state is State.FLASHING and rate else "",
        )
        for state in State
        if summed[state]
    ]


def groups(counts: Counts) -> list[Group]:
    """The modes that machines have, in the order in which the pages list modes."""
    found = [
        Group(
            mode,
            tuple(
                Part(STATE_TONES[state], _WORDS.get((mode, state), STATE_NAMES[state]), machines)
                for state in State
                if (machines := counts.get((mode, state), 0))
            ),
        )
        for mode in BootMode
    ]
    return [group for group in found if group.parts]


# What a state means in a mode, where that is more than its name.
_WORDS = {
    (BootMode.INVENTORY, State.WAITS): "inventory at next boot",
    (BootMode.INVENTORY, State.DONE): "inventory is here",
    (BootMode.FLASH_ONCE, State.WAITS): "flash at next boot",
    (BootMode.FLASH_ONCE, State.DONE): "flashed",
    (BootMode.FLASH_ALWAYS, State.WAITS): "flash at next boot",
    (BootMode.FLASH_ALWAYS, State.DONE): "flashed",
    (BootMode.TUI, State.WAITS): "wizard at next boot",
}

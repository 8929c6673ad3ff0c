"""What is different between two inventories of one machine, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from bty_app.domain.hardware import Facts, Part


class How(StrEnum):
    """What happened to a piece."""

    ADDED = "added"
    LOST = "lost"
    SWAPPED = "swapped"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `before` or `after` is empty where there was, or is, nothing."""

    how: How
    what: str
    before: str
    after: str

    @property
    def words(self) -> str:
        """`disk swapped: 1T WDC (serial A) for 2T Samsung (serial B)`."""
        match self.how:
            case How.ADDED:
                return f"{self.what} added: {self.after}"
            case How.LOST:
                return f"{self.what} lost: {self.before}"
            case How.SWAPPED:
                return f"{self.what} swapped: {self.before} for {self.after}"
            case How.CHANGED:
                return f"{self.what} changed: {self.before} is now {self.after}"


def diff(before: Facts, after: Facts) -> tuple[Change, ...]:
    """The differences. What one of both does not say is not one."""
    found = _parts("disk", "serial", before.disks, after.disks)
    if before.nics is not None and after.nics is not None:
        found += _parts("network card", "MAC", before.nics, after.nics)
    if before.cpus is not None and after.cpus is not None and before.cpus != after.cpus:
        found.append(_value("processors", _counted(before.cpus), _counted(after.cpus)))
    if before.memory_bytes and after.memory_bytes and before.memory_bytes != after.memory_bytes:
        sizes = _gib(before.memory_bytes), _gib(after.memory_bytes)
        found.append(_value("memory", *sizes))
    for what in ("board", "firmware", "system"):
        old, new = getattr(before, what), getattr(after, what)
        if old and new and old != new:
            found.append(_value("mainboard" if what == "board" else what, old, new))
    return tuple(found)


def _parts(what: str, name: str, before: Sequence[Part], after: Sequence[Part]) -> list[Change]:
    """One lost and one new piece are a swap; more of them are told one by one."""
    # A key that several share (disks without a serial) counts as often as it stands there.
    gone = Counter(part.key for part in before) - Counter(part.key for part in after)
    new = Counter(part.key for part in after) - Counter(part.key for part in before)
    lost = _told(gone, before, name)
    added = _told(new, after, name)
    if len(lost) == len(added) == 1:
        return [Change(How.SWAPPED, what, lost[0], added[0])]
    return [
        *(Change(How.LOST, what, words, "") for words in lost),
        *(Change(How.ADDED, what, "", words) for words in added),
    ]


def _told(keys: Counter[str], parts: Sequence[Part], name: str) -> list[str]:
    words = {part.key: part.words for part in parts}
    return [_named(Part(key, words[key]), name) for key in sorted(keys.elements())]


def _named(part: Part, name: str) -> str:
    if part.key.startswith("without serial: "):
        return f"{part.words} (without {name})"
    return f"{part.words} ({name} {part.key})"


def _value(what: str, before: str, after: str) -> Change:
    return Change(How.CHANGED, what, before, after)


def _counted(names: Sequence[str]) -> str:
    counts = Counter(names)
    return ", ".join(f"{count} x {name}" for name, count in sorted(counts.items())) or "none"


def _gib(size: int) -> str:
    return f"{size / 2**30:g} GiB" if size % 2**20 == 0 else f"{size / 2**30:.2f} GiB"

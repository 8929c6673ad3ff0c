"""The places in a bzip2 file where a block or the end of a stream may begin, at any bit."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

MARK_BITS = 48
BLOCK, END = 0x314159265359, 0x177245385090
_WINDOW_BYTES = 7  # 48 bits touch no more


@dataclass(frozen=True, slots=True)
class Mark:
    """A place, in bits from the beginning of the file."""

    bit: int
    is_end: bool


def _patterns() -> list[tuple[bytes, int, int]]:
    """For each mark and bit: whole bytes that it has for sure, how many bits of it come before
    them, and the mark.
    """
    found = []
    for mark in (BLOCK, END):
        for shift in range(8):
            window = (mark << 8 - shift).to_bytes(_WINDOW_BYTES, "big")
            found.append((window[1:6], 8 - shift, mark))
    return found


_PATTERNS = _patterns()


class Bits:
    """What has come of a file and is still needed, and the marks in it."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._base = 0  # where the data is in the file, in bytes
        self._looked = 0  # in bytes of the file: every mark that begins before it is known
        self.marks: deque[Mark] = deque()

    @property
    def end(self) -> int:
        """How many bits of the file have come."""
        return (self._base + len(self._data)) * 8

    @property
    def looked(self) -> int:
        """Up to which bit every mark is known."""
        return self._looked * 8

    def add(self, data: bytes) -> None:
        """What comes next."""
        self._data += data
        first, last = self._looked - self._base, len(self._data) - _WINDOW_BYTES + 1
        if last <= first:
            return
        found = []
        for pattern, before, mark in _PATTERNS:
            # The pattern is one byte behind the byte that the mark begins in.
            at = self._data.find(pattern, first + 1, last + len(pattern))
            while at >= 0:
                bit = (self._base + at) * 8 - before
                if self.get(bit, MARK_BITS) == mark:
                    found.append(Mark(bit, mark == END))
                at = self._data.find(pattern, at + 1, last + len(pattern))
        self.marks.extend(sorted(found, key=lambda one: one.bit))
        self._looked = self._base + last

    def get(self, bit: int, count: int) -> int:
        """`count` bits from `bit` on."""
        first, last = bit // 8 - self._base, -(-(bit + count) // 8) - self._base
        value = int.from_bytes(self._data[first:last], "big")
        behind = (self._base + last) * 8 - bit - count
        return value >> behind & (1 << count) - 1

    def forget(self, bit: int) -> None:
        """Nothing before it is needed any more."""
        count = bit // 8 - self._base
        del self._data[:count]
        self._base += count
        self._looked = max(self._looked, self._base)
        while self.marks and self.marks[0].bit < bit:
            self.marks.popleft()

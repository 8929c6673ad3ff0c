"""Which pages a write-ahead log has, committed (sqlite.org/fileformat2.html 4.1 and 4.2)."""

from __future__ import annotations

import struct
from collections.abc import Callable

_HEADER = struct.Struct(">IIIIIIII")
_FRAME = struct.Struct(">IIIIII")
_MAGIC = 0x377F0682


def committed(read: Callable[[int, int], bytes]) -> tuple[int, dict[int, int]]:
    """The size of a page, and where in the log the newest content of each page is that a commit
    covers; the log is read by `read(at, count)`. (0, {}) where SQLite would ignore it.
    """
    head = read(0, _HEADER.size)
    if len(head) < _HEADER.size:
        return 0, {}
    magic, _format, page, _number, *salts, _sum1, _sum2 = _HEADER.unpack(head)
    if magic & ~1 != _MAGIC or page < 512:
        return 0, {}
    newest: dict[int, int] = {}
    found: dict[int, int] = {}
    at = _HEADER.size
    while len(frame := read(at, _FRAME.size)) == _FRAME.size:
        number, is_commit, *own, _sum1, _sum2 = _FRAME.unpack(frame)
        if own != salts:
            break  # of the round before
        newest[number] = at + _FRAME.size
        if is_commit:
            found.update(newest)
            newest.clear()
        at += _FRAME.size + page
    return page, found

"""Records in the pages of an SQLite file, found without its schema: each page for itself.

Pure functions on bytes (sqlite.org/fileformat2.html 1.6, 2.1). What is noise gives nothing, and the
work is bounded by the size of the file, whatever its pages say.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

LONGEST_PAYLOAD = 64 * 1024 * 1024  # bytes; SQLite takes up to 1 GiB, no row of ours is as long
_LONGEST_HEADER = 1024  # bytes: more columns than any table of ours
_INDEX_INTERIOR, _INDEX_LEAF, _TABLE_LEAF = 2, 10, 13
_HEADER_ON_PAGE_1 = 100
_TEXT_OR_BLOB = 12  # serial types from here on: even for a blob, odd for text
_SIZES = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)  # bytes of the serial types below 10
_FLOAT, _ZERO, _ONE = 7, 8, 9

Pages = Callable[[int], bytes]  # the page of this number, from 1 on; empty where there is none
Value = str | int | float | bytes | None


class NoRecordError(ValueError):
    """These bytes are no record."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Of a file: `usable` bytes of each page hold data, of `pages` pages."""

    usable: int
    pages: int


@dataclass(frozen=True, slots=True)
class Record:
    """What a cell holds, before its values are read: `types` are serial types, `local` is what of
    its payload is on its own page, `overflow` the page that goes on, or 0.
    """

    is_index: bool
    row_id: int
    types: tuple[int, ...]
    header: int  # bytes
    length: int  # bytes, of the whole payload
    local: bytes
    overflow: int


@dataclass(slots=True)
class Budget:
    """How many overflow pages may still be read: of noise many records may name the same ones."""

    left: int


def budget_of(layout: Layout) -> Budget:
    """Enough for every page to be read some times over."""
    return Budget(4 * layout.pages + 64)


def records(page: bytes, number: int, layout: Layout) -> Iterator[Record]:
    """The records of one page, where it is one that has any. What cannot be one is left out."""
    start = _HEADER_ON_PAGE_1 if number == 1 else 0
    if len(page) < layout.usable or layout.usable < start + 8:
        return
    kind = page[start]
    if kind not in {_INDEX_INTERIOR, _INDEX_LEAF, _TABLE_LEAF}:
        return
    count = int.from_bytes(page[start + 3 : start + 5], "big")
    array = start + (12 if kind == _INDEX_INTERIOR else 8)
    content = array + 2 * count
    if not count or content > layout.usable:
        return
    page, seen = page[: layout.usable], set()
    for (at,) in struct.iter_unpack(">H", page[array:content]):
        if content <= at < layout.usable and at not in seen:
            seen.add(at)
            try:
                yield _record(page, at, kind, layout)
            except NoRecordError:
                continue


def payload(record: Record, pages: Pages, layout: Layout, budget: Budget) -> bytes:
    """The payload, as much of it as its chain of overflow pages gives."""
    parts, have, following = [record.local], len(record.local), record.overflow
    while have < record.length and 0 < following <= layout.pages and budget.left > 0:
        budget.left -= 1
        page = pages(following)
        if len(page) < layout.usable:
            break
        part = page[4 : layout.usable][: record.length - have]
        parts.append(part)
        have += len(part)
        following = int.from_bytes(page[:4], "big")
    return b"".join(parts)


def values(record: Record, content: bytes) -> tuple[list[Value], bool]:
    """The values in `content`, the beginning of the payload or all of it, and whether all are
    there; one that is cut off, or is no UTF-8, is None.
    """
    found: list[Value] = []
    at, is_whole = record.header, True
    for kind in record.types:
        end = at + size_of(kind)
        value, is_read = _value(kind, content[at:end]) if end <= len(content) else (None, False)
        found.append(value)
        is_whole = is_whole and is_read
        at = end
    return found, is_whole


def size_of(kind: int) -> int:
    """How many bytes a value of this serial type has."""
    return _SIZES[kind] if kind < len(_SIZES) else (kind - _TEXT_OR_BLOB) // 2


def is_number(kind: int) -> bool:
    """Whether this serial type is of a whole number."""
    return 1 <= kind < _FLOAT or kind in {_ZERO, _ONE}


def is_text(kind: int) -> bool:
    """Whether this serial type is of text."""
    return kind > _TEXT_OR_BLOB and kind % 2 == 1


def free_pages(first: int, pages: Pages, layout: Layout) -> set[int]:
    """The pages of the list that begins with trunk `first`: what they hold was removed."""
    found: set[int] = set()
    while 0 < first <= layout.pages and first not in found:
        found.add(first)
        page = pages(first)
        if len(page) < layout.usable:
            break
        following, count = struct.unpack_from(">II", page)
        leaves = page[8 : 8 + 4 * min(count, layout.usable // 4 - 2)]
        found.update(number for (number,) in struct.iter_unpack(">I", leaves))
        first = following
    return found


def _record(page: bytes, at: int, kind: int, layout: Layout) -> Record:
    if kind == _INDEX_INTERIOR:
        at += 4  # the page below
    length, at = _varint(page, at)
    row_id, at = _varint(page, at) if kind == _TABLE_LEAF else (0, at)
    if not 1 < length <= min(LONGEST_PAYLOAD, layout.usable * layout.pages):
        raise NoRecordError
    here = _local_bytes(length, layout.usable, is_table=kind == _TABLE_LEAF)
    end = at + here
    if end + 4 * (here < length) > len(page):
        raise NoRecordError
    types, header = _types(page, at, end)
    if header + sum(map(size_of, types)) != length:
        raise NoRecordError
    overflow = int.from_bytes(page[end : end + 4], "big") if here < length else 0
    local = page[at:end]
    return Record(kind != _TABLE_LEAF, _signed(row_id), types, header, length, local, overflow)


def _types(page: bytes, start: int, end: int) -> tuple[tuple[int, ...], int]:
    """The serial types in the header of the record at `start`, and the bytes of that header."""
    header, at = _varint(page, start)
    if not 1 < header <= min(end - start, _LONGEST_HEADER):
        raise NoRecordError
    types = []
    while at < start + header:
        kind, at = _varint(page, at)
        if kind in {10, 11}:  # reserved
            raise NoRecordError
        types.append(kind)
    if at != start + header:
        raise NoRecordError
    return tuple(types), header


def _local_bytes(length: int, usable: int, *, is_table: bool) -> int:
    """How much of a payload is on its own page."""
    most = usable - 35 if is_table else (usable - 12) * 64 // 255 - 23
    if length <= most:
        return length
    least = (usable - 12) * 32 // 255 - 23
    found = least + (length - least) % (usable - 4)
    return found if found <= most else least


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for position, byte in enumerate(data[at : at + 9], 1):
        if position == 9:
            return value << 8 | byte, at + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + position
    raise NoRecordError


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _value(kind: int, content: bytes) -> tuple[Value, bool]:
    if kind == 0:
        return None, True
    if kind in {_ZERO, _ONE}:
        return kind - _ZERO, True
    if kind == _FLOAT:
        return float(struct.unpack(">d", content)[0]), True
    if kind < _FLOAT:
        return int.from_bytes(content, "big", signed=True), True
    if not is_text(kind):
        return content, True
    try:
        return content.decode("utf-8"), True
    except UnicodeDecodeError:
        return None, False


def could_be(types: Sequence[int], wanted: str) -> bool:
    """Whether serial types are those of columns, one letter each: `t` text, `n` a whole number, or
    nothing of either; the same in upper case must have a value.
    """
    return len(types) == len(wanted) and all(
        (kind == 0 and letter.islower()) or (is_text(kind) if letter in "tT" else is_number(kind))
        for kind, letter in zip(types, wanted, strict=True)
    )

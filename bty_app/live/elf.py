"""The shared libraries that a program asks for (System V ABI, "Dynamic Section")."""

from __future__ import annotations

import struct

_DYNAMIC, _LOAD = 2, 1
_NEEDED, _STRTAB = 1, 5


def needed(data: bytes) -> tuple[str, ...]:
    """The names of the libraries that this 64-bit little-endian ELF file needs; none of others."""
    if data[:4] != b"\x7fELF" or data[4:6] != b"\x02\x01" or len(data) < 64:
        return ()
    try:
        return _needed(data)
    except (struct.error, ValueError, OverflowError, StopIteration):
        return ()


def _needed(data: bytes) -> tuple[str, ...]:
    (table,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    headers = [struct.unpack_from("<IIQQQQQQ", data, table + n * size) for n in range(count)]
    loads = [(h[3], h[2], h[5]) for h in headers if h[0] == _LOAD]  # address, offset, size
    dynamic = next(((h[2], h[5]) for h in headers if h[0] == _DYNAMIC), None)
    if dynamic is None:
        return ()
    entries = list(struct.iter_unpack("<QQ", data[dynamic[0] : dynamic[0] + dynamic[1]]))
    names = next(value for tag, value in entries if tag == _STRTAB)
    base = next(names - at + offset for at, offset, length in loads if at <= names < at + length)
    return tuple(_text(data, base + value) for tag, value in entries if tag == _NEEDED)


def _text(data: bytes, start: int) -> str:
    return data[start : data.index(b"\0", start)].decode("ascii")

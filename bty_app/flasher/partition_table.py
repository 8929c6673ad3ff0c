"""What the first bytes of an image say of the disk that it was made for."""

from __future__ import annotations

import struct
from dataclasses import dataclass

SECTORS = (512, 4096)
_GPT = b"EFI PART"
_ENTRY = struct.Struct("<8xII")  # of an MBR: first sector and number of sectors


@dataclass(frozen=True, slots=True)
class Layout:
    """`sector` is the logical sector size that the image was made for, where that can be seen;
    `needs` is how large the disk has to be at least.
    """

    sector: int | None
    needs: int


def layout(head: bytes | memoryview, *, sector: int) -> Layout:
    """The layout of the image that begins with `head`; `sector` is that of the disk."""
    for size in SECTORS:
        header = bytes(head[size : size + 48])
        if header.startswith(_GPT) and len(header) == 48:
            alternate = int.from_bytes(header[32:40], "little")
            return Layout(size, (alternate + 1) * size)
    return Layout(None, _end_of_mbr(bytes(head[:512]), sector))


def _end_of_mbr(record: bytes, sector: int) -> int:
    """Where the last partition of an MBR ends; 0 where there is none."""
    if len(record) < 512 or record[510:] != b"\x55\xaa":
        return 0
    entries = [record[at : at + 16] for at in range(446, 510, 16)]
    used = [entry for entry in entries if entry[4]]
    # A boot sector of a file system ends with the same mark; its code is no table.
    if not used or any(entry[0] not in (0, 0x80) for entry in entries):
        return 0
    ends = [first + count for first, count in map(_ENTRY.unpack, used)]
    return int(max(ends)) * sector

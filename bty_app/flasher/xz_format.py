"""The .xz container, as far as its blocks are concerned (the .xz file format 1.2.1)."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

HEADER_BYTES = FOOTER_BYTES = 12
_MAGIC, _FOOTER_MAGIC = b"\xfd7zXZ\x00", b"YZ"
_HAS_COMPRESSED_SIZE, _HAS_SIZE = 0x40, 0x80
_CHECK_SIZES = (0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64)


class FormatError(ValueError):
    """It is no .xz file, or a damaged one."""


@dataclass(frozen=True, slots=True)
class Block:
    """What an index lists: the length in the file without padding, and of what comes out."""

    unpadded: int
    size: int

    @property
    def length(self) -> int:
        """What it takes in the file."""
        return self.unpadded + -self.unpadded % 4


def check_header(header: bytes) -> None:
    """Refuse what is no header of a stream.

    Raises:
        FormatError: it is none.
    """
    if not header.startswith(_MAGIC) or header[6] or header[7] >> 4:
        raise FormatError("that is no header of a stream")
    if _crc(header[6:8]) != header[8:12]:
        raise FormatError("the header of a stream is damaged")


def block_header_bytes(first: int) -> int:
    """The length of a block's header by its first byte, which is not zero."""
    return (first + 1) * 4


def block_of(header: bytes, stream_header: bytes) -> Block | None:
    """The block that a whole header of a block begins; None where it does not say how long it is.

    Raises:
        FormatError: it is damaged.
    """
    if _crc(header[:-4]) != header[-4:]:
        raise FormatError("the header of a block is damaged")
    flags = header[1]
    if not (flags & _HAS_COMPRESSED_SIZE and flags & _HAS_SIZE):
        return None
    compressed, at = number(header, 2)
    size, _at = number(header, at)
    return Block(len(header) + compressed + _CHECK_SIZES[stream_header[7] & 15], size)


def number(data: bytes, at: int) -> tuple[int, int]:
    """A multibyte integer, and where what follows it is.

    Raises:
        FormatError: it is malformed, or not all there.
    """
    value = 0
    for place in range(9):
        if at + place >= len(data):
            break
        byte = data[at + place]
        value |= (byte & 0x7F) << (7 * place)
        if not byte & 0x80:
            return value, at + place + 1
    raise FormatError("a number in it is malformed")


def index(blocks: Sequence[Block]) -> bytes:
    """The index of these blocks."""
    body = b"\0" + _number(len(blocks))
    body += b"".join(_number(block.unpadded) + _number(block.size) for block in blocks)
    body += bytes(-len(body) % 4)
    return body + _crc(body)


def footer(stream_header: bytes, index_bytes: int) -> bytes:
    """What follows the index."""
    fields = (index_bytes // 4 - 1).to_bytes(4, "little") + stream_header[6:8]
    return _crc(fields) + fields + _FOOTER_MAGIC


def listed_size(tail: bytes) -> int | None:
    """What comes out of the last stream of a file that ends with `tail`, by its index."""
    tail = tail.rstrip(b"\0") if tail.endswith(bytes(4)) else tail
    end = tail[-FOOTER_BYTES:]
    if len(end) < FOOTER_BYTES or end[10:] != _FOOTER_MAGIC or _crc(end[4:10]) != end[:4]:
        return None
    length = (int.from_bytes(end[4:8], "little") + 1) * 4
    listed = tail[:-FOOTER_BYTES][-length:]
    if len(listed) < length or listed[0] or _crc(listed[:-4]) != listed[-4:]:
        return None
    try:
        count, at = number(listed, 1)
        total = 0
        for _ in range(count):
            _unpadded, at = number(listed, at)
            size, at = number(listed, at)
            total += size
    except FormatError:
        return None
    return total


def _number(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _crc(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4, "little")

"""Packs rows of zstd frames: each says its size and has a checksum, and a table lists them all.

The table is a frame that every zstd passes over: the "zstd seekable format", version 0.1.0 (in the
zstd sources under contrib/seekable_format).
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from bty_app.errors import FlashError, FlashRefusedError
from bty_app.flasher.libzstd import NAME

LEVELS = range(1, 20)
MAX_FRAMES = 0x8000000
_TABLE_MAGIC, _FOOTER_MAGIC = 0x184D2A5E, 0x8F92EAB1
_LEVEL, _CHECKSUM = 100, 201  # ZSTD_c_compressionLevel, ZSTD_c_checksumFlag
_ENTRY, _FOOTER, _HEADER = struct.Struct("<II"), struct.Struct("<IBI"), struct.Struct("<II")


@dataclass(frozen=True, slots=True)
class Frame:
    """Lengths of a frame: in the file, and of what comes out."""

    packed: int
    size: int


class Packer:
    """Packs frames. One thread at a time."""

    def __init__(self, level: int) -> None:
        """
        Raises:
            FlashRefusedError: libzstd is not here.
        """
        self._library = _library()
        self._context = ctypes.c_void_p(self._library.ZSTD_createCCtx())
        for parameter, value in ((_LEVEL, level), (_CHECKSUM, 1)):
            self._check(self._library.ZSTD_CCtx_setParameter(self._context, parameter, value))

    def frame(self, data: bytes | bytearray) -> bytes:
        """`data` as a frame."""
        room = ctypes.create_string_buffer(self._library.ZSTD_compressBound(len(data)))
        source = (ctypes.c_char * len(data)).from_buffer_copy(data)
        made = self._library.ZSTD_compress2(self._context, room, len(room), source, len(data))
        self._check(made)
        return room.raw[:made]

    def close(self) -> None:
        """Free its memory."""
        self._library.ZSTD_freeCCtx(self._context)

    def _check(self, status: int) -> None:
        if self._library.ZSTD_isError(status):
            raise FlashError(
                f"zstd cannot pack: {self._library.ZSTD_getErrorName(status).decode()}"
            )


def seek_table(frames: Sequence[Frame]) -> bytes:
    """The frame that lists all others, to stand behind them."""
    entries = b"".join(_ENTRY.pack(frame.packed, frame.size) for frame in frames)
    body = entries + _FOOTER.pack(len(frames), 0, _FOOTER_MAGIC)
    return _HEADER.pack(_TABLE_MAGIC, len(body)) + body


def listed_size(tail: bytes) -> int:
    """What comes out of a file that ends with `tail`, by its table; 0 where there is none."""
    if len(tail) < _FOOTER.size:
        return 0
    count, flags, magic = _FOOTER.unpack(tail[-_FOOTER.size :])
    width = _ENTRY.size + (4 if flags & 0x80 else 0)
    table = tail[: -_FOOTER.size][-count * width :] if count else b""
    if magic != _FOOTER_MAGIC or len(table) != count * width:
        return 0
    return sum(_ENTRY.unpack_from(table, at)[1] for at in range(0, len(table), width))


@cache
def _library() -> ctypes.CDLL:
    try:
        found = ctypes.CDLL(NAME)
    except OSError as error:
        raise FlashRefusedError(f"{NAME} is not on this system: it packs the image") from error
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    for name, result, arguments in (
        ("ZSTD_createCCtx", pointer, ()),
        ("ZSTD_freeCCtx", size, (pointer,)),
        ("ZSTD_CCtx_setParameter", size, (pointer, ctypes.c_int, ctypes.c_int)),
        ("ZSTD_compressBound", size, (size,)),
        ("ZSTD_compress2", size, (pointer, pointer, size, pointer, size)),
        ("ZSTD_isError", ctypes.c_uint, (size,)),
        ("ZSTD_getErrorName", ctypes.c_char_p, (size,)),
    ):
        function = getattr(found, name)
        function.restype, function.argtypes = result, arguments
    return found

"""libzstd, the system's own, called in place: it works outside of the interpreter's lock."""

from __future__ import annotations

import ctypes
from functools import cache

from bty_app.errors import FlashIntegrityError
from bty_app.flasher.ring import Sink

NAME = "libzstd.so.1"
MAGIC = b"\x28\xb5\x2f\xfd"
WINDOW_LOG_MAX = 31 if ctypes.sizeof(ctypes.c_void_p) == 8 else 30
_PARAMETER_WINDOW_LOG_MAX = 100  # ZSTD_d_windowLogMax
_CONTENT_SIZE_UNKNOWN, _CONTENT_SIZE_ERROR = 2**64 - 1, 2**64 - 2
HEADER_MAX = 18


class _In(ctypes.Structure):
    _fields_ = (("src", ctypes.c_void_p), ("size", ctypes.c_size_t), ("pos", ctypes.c_size_t))


class _Out(ctypes.Structure):
    _fields_ = (("dst", ctypes.c_void_p), ("size", ctypes.c_size_t), ("pos", ctypes.c_size_t))


@cache
def library() -> ctypes.CDLL | None:
    """The library, or None where it is not here."""
    try:
        found = ctypes.CDLL(NAME)
        pointer, size = ctypes.c_void_p, ctypes.c_size_t
        for name, result, arguments in (
            ("ZSTD_createDCtx", pointer, ()),
            ("ZSTD_freeDCtx", size, (pointer,)),
            ("ZSTD_DCtx_setParameter", size, (pointer, ctypes.c_int, ctypes.c_int)),
            ("ZSTD_decompressDCtx", size, (pointer, pointer, size, pointer, size)),
            ("ZSTD_decompressStream", size, (pointer, pointer, pointer)),
            ("ZSTD_isError", ctypes.c_uint, (size,)),
            ("ZSTD_getErrorName", ctypes.c_char_p, (size,)),
            ("ZSTD_getFrameContentSize", ctypes.c_ulonglong, (pointer, size)),
        ):
            function = getattr(found, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError):
        return None
    return found


def available() -> bool:
    """Whether the library is here."""
    return library() is not None


class Context:
    """A decompressor. One thread at a time."""

    def __init__(self) -> None:
        self._library = found = library() or ctypes.CDLL(NAME)
        self._context = ctypes.c_void_p(found.ZSTD_createDCtx())
        if self._context.value is None:
            raise MemoryError
        found.ZSTD_DCtx_setParameter(self._context, _PARAMETER_WINDOW_LOG_MAX, WINDOW_LOG_MAX)
        self._in, self._out = _In(), _Out()

    def frame(self, data: bytes, address: int, size: int) -> None:
        """Decode a whole frame of `size` bytes to `address`.

        Raises:
            FlashIntegrityError: it is damaged, or of another size.
        """
        made = self._library.ZSTD_decompressDCtx(self._context, address, size, data, len(data))
        self._check(made)
        if made != size:
            raise damaged(f"a frame has {made} bytes, not {size}")

    def stream(self, data: bytes, at: int, room: tuple[int, int]) -> tuple[int, int, bool]:
        """Decode `data` from `at` on into the room (address, size): how many bytes were taken, how
        many came out, and whether a frame is complete with that.

        Raises:
            FlashIntegrityError: it is damaged.
        """
        self._in.src, self._in.size = _address(data), len(data)
        self._in.pos = at
        self._out.dst, self._out.size = room
        self._out.pos = 0
        left = self._library.ZSTD_decompressStream(
            self._context, ctypes.addressof(self._out), ctypes.addressof(self._in)
        )
        self._check(left)
        return self._in.pos - at, self._out.pos, left == 0

    def close(self) -> None:
        """Free its memory."""
        self._library.ZSTD_freeDCtx(self._context)
        self._context = ctypes.c_void_p()

    def _check(self, status: int) -> None:
        if self._library.ZSTD_isError(status):
            raise damaged(self._library.ZSTD_getErrorName(status).decode())


class Streaming:
    """A decoder of any row of frames, in one thread."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._context = Context()
        self._frames = 0
        self._is_inside = False

    def feed(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            at += self._decoded(data, at)

    def finish(self) -> None:
        self._context.close()
        if self._is_inside or not self._frames:
            raise damaged("it is cut off")

    def _decoded(self, data: bytes, at: int) -> int:
        """How much of `data` was used up: all, or one frame."""
        used = 0
        while True:
            room = self._sink.room_at()
            taken, made, is_complete = self._context.stream(data, at + used, room)
            used += taken
            self._sink.filled(made)
            self._is_inside = not is_complete
            if is_complete:
                self._frames += 1
                return used
            if at + used == len(data) and made < room[1]:
                return used


def content_size(head: bytes) -> int | None:
    """How many bytes the frame that begins with `head` says it has."""
    found = library()
    if found is None or not head.startswith(MAGIC):
        return None
    size: int = found.ZSTD_getFrameContentSize(head[:HEADER_MAX], len(head[:HEADER_MAX]))
    return None if size in (_CONTENT_SIZE_UNKNOWN, _CONTENT_SIZE_ERROR) else size


def damaged(why: str) -> FlashIntegrityError:
    """The error for an image that is no whole zstd file."""
    return FlashIntegrityError(f"the image is no whole zstd file: {why}")


def _address(data: bytes) -> int:
    return ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0

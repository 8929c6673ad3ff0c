"""xz by liblzma, called in place: what comes out goes into the buffers without being copied."""

from __future__ import annotations

import ctypes
import lzma
from collections.abc import Callable
from functools import cache

from bty_app.errors import FlashIntegrityError
from bty_app.flasher.ring import Sink

_LIBRARY = "liblzma.so.5"
_NO_LIMIT = 2**63 - 1
_RUN = 0
_OK, _STREAM_END, _BUF_ERROR = 0, 1, 10
_REASONS = {
    3: "its checksum is of a kind that is not known here",
    5: "there is not enough memory for it",
    7: "that is no xz header",
    8: "it has options that are not known here",
    9: "it is damaged",
}
_SAMPLE = bytes(range(256)) * 300


class _Stream(ctypes.Structure):
    _fields_ = (
        ("next_in", ctypes.c_void_p),
        ("avail_in", ctypes.c_size_t),
        ("total_in", ctypes.c_uint64),
        ("next_out", ctypes.c_void_p),
        ("avail_out", ctypes.c_size_t),
        ("total_out", ctypes.c_uint64),
        ("rest", ctypes.c_uint8 * 256),  # of which it uses 80
    )


class Unxz:
    """One stream of xz after the other."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(_LIBRARY)
        self._library.lzma_stream_decoder.argtypes = (
            ctypes.c_void_p,
            ctypes.c_uint64,
            ctypes.c_uint32,
        )
        self._library.lzma_code.argtypes = (ctypes.c_void_p, ctypes.c_int)
        self._library.lzma_end.argtypes = (ctypes.c_void_p,)
        self._stream = _Stream()
        self._address = ctypes.addressof(self._stream)
        self.is_finished = False

    def start(self) -> None:
        """Begin a stream.

        Raises:
            MemoryError: there is not enough.
        """
        self.is_finished = False
        if self._library.lzma_stream_decoder(self._address, _NO_LIMIT, 0) != _OK:
            raise MemoryError

    def decode(self, data: bytes, at: int, room: tuple[int, int]) -> tuple[int, int]:
        """Decode `data` from `at` on into the room (address, size): how many bytes were taken,
        and how many came out.

        Raises:
            ValueError: it is damaged.
        """
        stream, given = self._stream, len(data) - at
        stream.next_in = (ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0) + at
        stream.avail_in = given
        stream.next_out, stream.avail_out = room
        status = self._library.lzma_code(self._address, _RUN)
        if status not in (_OK, _STREAM_END, _BUF_ERROR):
            raise ValueError(_REASONS.get(status, f"status {status}"))
        self.is_finished = status == _STREAM_END
        return given - stream.avail_in, room[1] - stream.avail_out

    def close(self) -> None:
        """Free its memory; once more does no harm."""
        self._library.lzma_end(self._address)

    def __del__(self) -> None:
        if hasattr(self, "_stream"):  # a flash that failed closes nothing
            self.close()


class Streams:
    """A decoder of a row of streams, which may be padded."""

    def __init__(self, sink: Sink, make: Callable[[], Unxz] = Unxz) -> None:
        self._sink = sink
        self._unxz = make()
        self._streams = 0
        self._is_inside = False

    def feed(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            if not self._is_inside:
                at = self._begun(data, at)
                continue
            at += self._decoded(data, at)

    def finish(self) -> None:
        self._unxz.close()
        if self._is_inside or not self._streams:
            raise _damaged("it is cut off")

    def _begun(self, data: bytes, at: int) -> int:
        """Where the next stream begins, behind padding."""
        if self._streams:
            at = len(data) - len(data[at:].lstrip(b"\0"))
        if at < len(data):
            self._unxz.start()
            self._is_inside = True
        return at

    def _decoded(self, data: bytes, at: int) -> int:
        """How much of `data` was used up."""
        used = 0
        while True:
            room = self._sink.room_at()
            try:
                taken, made = self._unxz.decode(data, at + used, room)
            except ValueError as error:
                raise _damaged(str(error)) from error
            used += taken
            self._sink.filled(made)
            if self._unxz.is_finished:
                self._is_inside = False
                self._streams += 1
                return used
            if at + used == len(data) and made < room[1]:
                return used
            if not taken and not made:
                raise _damaged("it cannot be decoded")


@cache
def available() -> bool:
    """Whether the library is here, and does what we expect of it."""
    sample = lzma.compress(_SAMPLE, preset=0) + b"next"
    out = ctypes.create_string_buffer(len(_SAMPLE) + 1)
    room = ctypes.addressof(out)
    try:
        unxz = Unxz()
        unxz.start()
        first = unxz.decode(sample[:100], 0, (room, len(out)))
        rest = unxz.decode(sample[100:], 0, (room + first[1], len(out) - first[1]))
        unxz.close()
    except (OSError, AttributeError, ValueError, MemoryError):
        return False
    is_right = unxz.is_finished and out.raw[: len(_SAMPLE)] == _SAMPLE
    return is_right and first[0] + rest[0] == len(sample) - 4


def _damaged(why: str) -> FlashIntegrityError:
    return FlashIntegrityError(f"the image is no whole xz file: {why}")

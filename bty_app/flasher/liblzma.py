"""xz by liblzma, called in place: what comes out goes into the buffers without being copied."""

from __future__ import annotations

import ctypes
import lzma
from functools import cache

from bty_app.flasher.in_place import InPlace, decodes
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

    def __del__(self) -> None:
        if hasattr(self, "_address"):  # else there was no library
            self._library.lzma_end(self._address)


def xz_in_place(sink: Sink) -> InPlace:
    """A decoder of xz."""
    return InPlace(sink, Unxz(), "xz")


@cache
def available() -> bool:
    """Whether the library is here, and does what we expect of it."""
    try:
        unxz = Unxz()
        unxz.start()
        return decodes(unxz, lzma.compress(_SAMPLE, preset=0), _SAMPLE)
    except (OSError, AttributeError, ValueError, MemoryError):
        return False

"""gzip by ISA-L, Intel's library, called in place: several times as fast as zlib.

The library does not say how large its state is, nor where in it the flag is that has it check
the wrapper. `available` therefore decodes a sample, and says no where anything is not as it was.
"""

from __future__ import annotations

import ctypes
import gzip
import zlib
from functools import cache

from bty_app.flasher.in_place import InPlace, decodes
from bty_app.flasher.ring import Sink

_LIBRARY = "libisal.so.2"
_STATE_BYTES = 256 * 1024  # of which it uses 87,368
_CRC_FLAG_AT = 21172
_BLOCK_STATE_AT = 21160
RAW = 0  # deflate and nothing around it
GZIP = 1  # parse the header, and compare checksum and length at the end
_FINISHED = 5
_END_OF_INPUT, _OUT_OVERFLOW = 1, 2
_REASONS = {
    -1: "a block of it is damaged",
    -2: "a symbol of it is damaged",
    -3: "it refers to what is not there",
    -4: "that is no gzip header",
    -5: "its method is not deflate",
    -6: "its checksum is wrong",
}
_SAMPLE = bytes(range(256)) * 300


class _State(ctypes.Structure):
    _fields_ = (
        ("next_out", ctypes.c_void_p),
        ("avail_out", ctypes.c_uint32),
        ("total_out", ctypes.c_uint32),
        ("next_in", ctypes.c_void_p),
        ("read_in", ctypes.c_uint64),
        ("avail_in", ctypes.c_uint32),
        ("read_in_length", ctypes.c_int32),
        ("rest", ctypes.c_uint8 * _STATE_BYTES),
    )


class Inflate:
    """One member of gzip after the other, or one row of raw deflate blocks."""

    def __init__(self, wrapper: int = GZIP) -> None:
        self._wrapper = wrapper
        self._library = ctypes.CDLL(_LIBRARY)
        self._library.isal_inflate.argtypes = (ctypes.c_void_p,)
        self._state = _State()
        self._address = ctypes.addressof(self._state)
        self.start()

    def start(self) -> None:
        """Begin a member."""
        self._library.isal_inflate_init(ctypes.c_void_p(self._address))
        ctypes.c_uint32.from_address(self._address + _CRC_FLAG_AT).value = self._wrapper

    @property
    def is_finished(self) -> bool:
        """Whether the member is complete and its checksum right."""
        return ctypes.c_uint32.from_address(self._address + _BLOCK_STATE_AT).value == _FINISHED

    def decode(self, data: bytes, at: int, room: tuple[int, int]) -> tuple[int, int]:
        """Decode `data` from `at` on into the room (address, size): how many bytes were taken,
        and how many came out.

        Raises:
            ValueError: it is damaged.
        """
        state = self._state
        given = len(data) - at
        state.next_in = ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0
        state.next_in = (state.next_in or 0) + at
        state.avail_in = given
        state.next_out, state.avail_out = room
        status = self._library.isal_inflate(self._address)
        if status not in (0, _END_OF_INPUT, _OUT_OVERFLOW):
            raise ValueError(_REASONS.get(status, f"status {status}"))
        return given - state.avail_in, room[1] - state.avail_out


def gzip_in_place(sink: Sink) -> InPlace:
    """A decoder of gzip."""
    return InPlace(sink, Inflate(), "gzip")


@cache
def available() -> bool:
    """Whether the library is here, and does what we expect of it."""
    packed = gzip.compress(_SAMPLE)
    try:
        inflate = Inflate()
        return decodes(inflate, packed, _SAMPLE) and _checks(inflate, packed)
    except (OSError, AttributeError, ValueError):
        return False


@cache
def inflates_raw() -> bool:
    """Whether the library is here, and takes raw deflate with something behind it."""
    packer = zlib.compressobj(wbits=-12)
    packed = packer.compress(_SAMPLE) + packer.flush() + b"next"
    out = ctypes.create_string_buffer(len(_SAMPLE))
    try:
        inflate = Inflate(RAW)
        room = (ctypes.addressof(out), len(out))
        for _ in range(2):
            inflate.start()
            if inflate.decode(packed, 0, room)[1] != len(_SAMPLE) or out.raw != _SAMPLE:
                return False
    except (OSError, AttributeError, ValueError):
        return False
    return available()


def _checks(inflate: Inflate, packed: bytes) -> bool:
    """Whether a wrong checksum is found."""
    inflate.start()
    wrong = packed[:-8] + bytes(byte ^ 1 for byte in packed[-8:-4]) + packed[-4:]
    out = ctypes.create_string_buffer(len(_SAMPLE))
    try:
        inflate.decode(wrong, 0, (ctypes.addressof(out), len(out)))
    except ValueError:
        return True
    return False

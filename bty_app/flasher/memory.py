"""Page-aligned memory, as direct I/O takes it, and the question whether it is zero."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterator
from pathlib import Path

PAGE = 4096
BUFFER_BYTES = 4 * 1024 * 1024
STEP = 64 * 1024  # a run of zeros shorter than this is not worth a command of its own

_memcmp = ctypes.CDLL(None).memcmp
_memcmp.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_memcmp.restype = ctypes.c_int


class Buffer:
    """Zeroed memory of `size` bytes that begins at a page."""

    def __init__(self, size: int = BUFFER_BYTES) -> None:
        self._map = mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.view = memoryview(self._map)[:size]
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self._map))

    def is_zero(self, start: int, end: int) -> bool:
        """Whether the bytes from `start` to `end` are zero."""
        while start < end:
            size = min(STEP, end - start)
            if _memcmp(self.address + start, _ZEROS.address, size):
                return False
            start += size
        return True

    def runs(self, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
        """The bytes from `start` to `end` as (start, end, whether zero): alternating runs.

        Runs of zeros are found by whole steps, and then extended by whole pages.
        """
        begun, at = start, start
        while at < end:
            after = min(at + STEP, end)
            if not self.is_zero(at, after):
                at = after
                continue
            first = self._extended(at, -PAGE, begun)
            while after < end and self.is_zero(after, min(after + STEP, end)):
                after = min(after + STEP, end)
            after = self._extended(after, PAGE, end)
            if begun < first:
                yield begun, first, False
            yield first, after, True
            begun = at = after
        if begun < end:
            yield begun, end, False

    def _extended(self, at: int, by: int, bound: int) -> int:
        """`at`, moved by pages as long as they are zero and within the bound."""
        while at != bound and abs(bound - at) >= PAGE and self.is_zero(*sorted((at, at + by))):
            at += by
        return at


_ZEROS = Buffer(STEP)


def bytes_are_zero(data: bytes) -> bool:
    """Whether all of `data` is zero."""
    address = ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0
    return all(
        _memcmp(address + at, _ZEROS.address, min(STEP, len(data) - at)) == 0
        for at in range(0, len(data), STEP)
    )


def spare_bytes() -> int:
    """How much memory may be taken without anybody missing it."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return 0
    found = next((line for line in lines if line.startswith("MemAvailable:")), "0 0")
    return int(found.split()[1]) * 1024 // 2

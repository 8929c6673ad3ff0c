"""A block device that is being wiped: the kernel's ways to erase it, and reading what is left."""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

FLUSH_BUFFERS = 0x1261  # BLKFLSBUF
DISCARD = 0x1277  # BLKDISCARD
SECURE_DISCARD = 0x127D  # BLKSECDISCARD
CHUNK_BYTES = 4 * 1024 * 1024


class Erasable(Protocol):
    """What a wipe works on."""

    def read(self, offset: int, length: int) -> bytes:
        """What is really on the device."""

    def write_zeros(self, offset: int, length: int) -> None:
        """Write zeros as data, past all caches; at most `CHUNK_BYTES`."""

    def discard(self, offset: int, length: int, *, secure: bool) -> None:
        """Tell the device that nothing there is needed, or to erase it for good."""

    def flush(self) -> None:
        """Wait until all is on the medium."""


class Device:
    """A block device, open for ourselves alone."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._zeros = mmap.mmap(-1, CHUNK_BYTES)  # aligned to a page, as O_DIRECT wants it

    def read(self, offset: int, length: int) -> bytes:
        """What is really on the device."""
        fcntl.ioctl(self._descriptor, FLUSH_BUFFERS, 0)
        buffer = mmap.mmap(-1, length)
        got = os.preadv(self._descriptor, [buffer], offset)
        return buffer[:got]

    def write_zeros(self, offset: int, length: int) -> None:
        """Write zeros as data, past all caches."""
        left = memoryview(self._zeros)[:length]
        while left:
            done = os.pwritev(self._descriptor, [left], offset)
            offset, left = offset + done, left[done:]

    def discard(self, offset: int, length: int, *, secure: bool) -> None:
        """Tell the device that nothing there is needed, or to erase it for good."""
        request = SECURE_DISCARD if secure else DISCARD
        fcntl.ioctl(self._descriptor, request, struct.pack("=QQ", offset, length))

    def flush(self) -> None:
        """Wait until all is on the medium."""
        os.fsync(self._descriptor)


@contextmanager
def opened(path: str) -> Iterator[Erasable]:
    """The device at `path`.

    Raises:
        OSError: it cannot be opened, or somebody uses it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_EXCL | os.O_DIRECT | os.O_CLOEXEC)
    try:
        yield Device(descriptor)
    finally:
        os.close(descriptor)

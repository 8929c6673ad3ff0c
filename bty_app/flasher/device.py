"""A disk, opened to be written: past the page cache, and zeroed by command where it can."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from bty_app.errors import FlashRaceError, FlashRefusedError, FlashWriteError
from bty_app.flasher.memory import BUFFER_BYTES, PAGE, Buffer

BLKROGET = 0x125E
BLKRRPART = 0x125F
BLKSSZGET = 0x1268
BLKGETSIZE64 = 0x80081272
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 0x01, 0x02, 0x10
ZERO_STEP = 64 * 1024 * 1024  # of one command: a slow disk must not keep a cancellation waiting

# Best first. On a disk the first fails where the disk has no such command; the second has the
# kernel write zeros then. Both are promised to read back as zeros, which a discard is not.
_ZEROING = (PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE | KEEP_SIZE)
_NOT_SUPPORTED = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENODEV})
_REFUSALS = {
    errno.ENOENT: "there is no such disk",
    errno.ENXIO: "there is no such disk",
    errno.ENOMEDIUM: "there is no medium in it",
    errno.EROFS: "it is read-only",
    errno.EACCES: "it is read-only, or not ours to write",
    errno.EPERM: "it is read-only, or not ours to write",
    errno.EISDIR: "it is a directory",
}

_fallocate = ctypes.CDLL(None, use_errno=True).fallocate64
_fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


class Device(Protocol):
    """What is written to. `sector` is its logical sector size; offsets and lengths are any."""

    @property
    def path(self) -> str: ...

    @property
    def size(self) -> int: ...

    @property
    def sector(self) -> int: ...

    def write(self, view: memoryview, offset: int) -> None:
        """Write the bytes.

        Raises:
            FlashWriteError: they were not all written.
        """

    def zero(self, offset: int, length: int) -> None:
        """Make the bytes read back as zeros.

        Raises:
            FlashWriteError: they may not.
        """

    def read(self, view: memoryview, offset: int) -> None:
        """Read from the medium.

        Raises:
            FlashWriteError: it cannot be read.
        """

    def flush(self) -> None:
        """Bring everything to the medium.

        Raises:
            FlashWriteError: something is lost.
        """

    def announce(self) -> None:
        """Have the kernel look at the partition table again, where it can."""

    def close(self) -> None: ...


class Disk:
    """A block device, or a regular file in its place."""

    def __init__(self, path: str, *, sector: int | None = None) -> None:
        """`sector` is the logical sector size that a regular file is taken to have.

        Raises:
            FlashRaceError: it is in use.
            FlashRefusedError: it cannot be opened, or is neither.
        """
        self._path = path
        self._plain = _opened(path)
        try:
            self._is_block = stat.S_ISBLK(os.fstat(self._plain).st_mode)
            self._size, self._sector = _measured(self._plain, is_block=self._is_block)
            self._direct = _opened_direct(path, self._plain)
        except OSError as error:
            os.close(self._plain)
            raise FlashRefusedError(f"{path}: {error.strerror}") from error
        self._sector = sector or self._sector
        self._zeroing = list(_ZEROING)
        self._zeros: Buffer | None = None

    @property
    def path(self) -> str:
        return self._path

    @property
    def size(self) -> int:
        return self._size

    @property
    def sector(self) -> int:
        return self._sector

    def write(self, view: memoryview, offset: int) -> None:
        """Pages go past the cache; what is left of one at either end goes through it."""
        with self._failing("write", offset):
            for descriptor, start, end in self._parts(offset, len(view), _address(view)):
                _write(descriptor, view[start - offset : end - offset], start)

    def zero(self, offset: int, length: int) -> None:
        """By command for whole pages; with zeros where there is none, and at either end."""
        with self._failing("zeroing", offset):
            for descriptor, start, end in self._parts(offset, length):
                is_whole = descriptor == self._direct
                for at in range(start, end, ZERO_STEP):
                    size = min(ZERO_STEP, end - at)
                    if not (is_whole and self._zeroed(at, size)):
                        self._write_zeros(descriptor, at, size)

    def read(self, view: memoryview, offset: int) -> None:
        with self._failing("read", offset):
            for descriptor, start, end in self._parts(offset, len(view), _address(view)):
                if descriptor == self._plain:
                    os.posix_fadvise(descriptor, start, end - start, os.POSIX_FADV_DONTNEED)
                _read(descriptor, view[start - offset : end - offset], start)

    def flush(self) -> None:
        with self._failing("flush"):
            os.fsync(self._direct)
            os.fsync(self._plain)

    def announce(self) -> None:
        if self._is_block:
            # EBUSY: something holds a partition; EINVAL: it cannot have any, as most loop devices.
            with contextlib.suppress(OSError):
                fcntl.ioctl(self._plain, BLKRRPART)

    def close(self) -> None:
        os.close(self._direct)
        os.close(self._plain)

    def _parts(
        self, offset: int, length: int, address: int | None = None
    ) -> Iterator[tuple[int, int, int]]:
        """(descriptor, start, end): the whole pages for direct I/O, the rest for the cache.

        Direct I/O wants pages in memory for the pages of the disk.
        """
        end = offset + length
        first, last = -(-offset // PAGE) * PAGE, end // PAGE * PAGE
        if first >= last or (address is not None and (address - offset) % PAGE):
            yield self._plain, offset, end
            return
        if offset < first:
            yield self._plain, offset, first
        yield self._direct, first, last
        if last < end:
            yield self._plain, last, end

    def _zeroed(self, offset: int, length: int) -> bool:
        while self._zeroing:
            if _fallocate(self._direct, self._zeroing[0], offset, length) == 0:
                return True
            number = ctypes.get_errno()
            if number == errno.EINTR:
                continue
            if number not in _NOT_SUPPORTED:
                raise OSError(number, os.strerror(number))
            self._zeroing.pop(0)
        return False

    def _write_zeros(self, descriptor: int, offset: int, length: int) -> None:
        self._zeros = self._zeros or Buffer(BUFFER_BYTES)
        for at in range(offset, offset + length, BUFFER_BYTES):
            view = self._zeros.view[: min(BUFFER_BYTES, offset + length - at)]
            _write(descriptor, view, at)

    @contextmanager
    def _failing(self, what: str, offset: int | None = None) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            where = "" if offset is None else f" at byte {offset}"
            raise FlashWriteError(
                f"{self._path}: {what}{where} failed: {error.strerror}"
            ) from error


def _opened(path: str) -> int:
    """The descriptor through the page cache; it holds the disk, so that nothing can mount it."""
    try:
        kind = os.stat(path).st_mode  # noqa: PTH116 - a name of a device, not a path of ours
        if not (stat.S_ISBLK(kind) or stat.S_ISREG(kind)):
            raise FlashRefusedError(f"{path} is not a disk")
        alone = os.O_EXCL if stat.S_ISBLK(kind) else 0
        return os.open(path, os.O_RDWR | os.O_CLOEXEC | alone)
    except OSError as error:
        if error.errno == errno.EBUSY:
            sentence = f"{path} is in use: it is mounted, or part of something that runs"
            raise FlashRaceError(sentence) from error
        why = _REFUSALS.get(error.errno or 0, error.strerror)
        raise FlashRefusedError(f"{path} cannot be written: {why}") from error


def _opened_direct(path: str, plain: int) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system without direct I/O
            raise
        return os.dup(plain)


def _measured(descriptor: int, *, is_block: bool) -> tuple[int, int]:
    """The size and the logical sector size."""
    if not is_block:
        return os.fstat(descriptor).st_size, 512
    (is_read_only,) = struct.unpack("i", fcntl.ioctl(descriptor, BLKROGET, bytes(4)))
    if is_read_only:  # not every kernel says so when it is opened
        raise OSError(errno.EROFS, "it is read-only")
    size: int = struct.unpack("Q", fcntl.ioctl(descriptor, BLKGETSIZE64, bytes(8)))[0]
    sector: int = struct.unpack("i", fcntl.ioctl(descriptor, BLKSSZGET, bytes(4)))[0]
    return size, sector


def _address(view: memoryview) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(view)) if view else 0


def _write(descriptor: int, view: memoryview, offset: int) -> None:
    while view:
        written = os.pwrite(descriptor, view, offset)
        if not written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        view, offset = view[written:], offset + written


def _read(descriptor: int, view: memoryview, offset: int) -> None:
    while view:
        read = os.preadv(descriptor, [view], offset)
        if not read:
            raise OSError(errno.EIO, "the disk ends before it should")
        view, offset = view[read:], offset + read

"""Directories below the level of publishing: open, sync, rename and exchange what is in them."""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bty_app.errors import BtyError, StorageError

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
RENAME_NOREPLACE = 1  # linux/fs.h
RENAME_EXCHANGE = 2
_NO_SUCH_RENAME = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM})
_DISK_FAILURES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG})

_serial = itertools.count(1)


def temporary_name(name: str) -> str:
    """A name beside `name` that nobody else uses."""
    return f".tmp-{name}.{os.getpid()}-{next(_serial)}"


def rename2(folder: int, source: str, target: str, flags: int) -> bool:
    """renameat2(2): False where the C library or the file system does not know it."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        return False
    if function(folder, os.fsencode(source), folder, os.fsencode(target), flags) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NO_SUCH_RENAME:
        return False
    raise OSError(number, os.strerror(number), target)


@contextmanager
def opened_directory(path: Path) -> Iterator[int]:
    """A descriptor of a directory, for the block."""
    descriptor = os.open(path, DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def sync_tree(root: Path) -> None:
    """fsync every file and directory under `root`, and `root` itself, from the leaves up."""
    for folder, _folders, files, descriptor in os.fwalk(root, topdown=False):
        for name in files:
            _sync_file(name, folder=descriptor)
        _sync_file(folder, folder=None)


def _sync_file(name: str, *, folder: int | None) -> None:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(name, flags, dir_fd=folder)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def disk_failures(path: Path) -> Iterator[None]:
    """Say disk errors of the block as a sentence about `path`; let other errors pass."""
    try:
        yield
    except BtyError:
        raise
    except OSError as error:
        if error.errno in _DISK_FAILURES or error.filename is not None:
            named = error.filename is not None and str(error.filename) not in (str(path), path.name)
            about = f" ({error.filename})" if named else ""
            raise StorageError(f"{path}: cannot be written: {error.strerror}{about}") from error
        raise

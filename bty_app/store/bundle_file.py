"""A bundle on disk, opened with suspicion: a regular file, never a link, a pipe or a device."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bty_app.domain.bundle import FILE_NAME
from bty_app.errors import InvalidInputError, NotFoundError, StorageError

_CHUNK = 256 * 1024
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def opened(path: Path) -> Iterator[Iterator[bytes]]:
    """The bytes of the bundle at `path` in pieces: a directory with the file in it, or the file.

    Raises:
        NotFoundError: there is no bundle.
        InvalidInputError: what is there is not a regular file.
        StorageError: it cannot be opened or read.
    """
    folder, name = _located(path)
    try:
        descriptor = _opened_file(folder, name, path)
    finally:
        os.close(folder)
    try:
        yield _chunks(descriptor, path)
    finally:
        os.close(descriptor)


def _located(path: Path) -> tuple[int, str]:
    """The open directory that holds the file, and the file's name in it."""
    try:
        return os.open(path, _FOLDER), FILE_NAME
    except NotADirectoryError:
        pass
    except OSError as error:
        raise _failure(path, error) from error
    try:
        return os.open(path.parent, _FOLDER), path.name
    except OSError as error:
        raise _failure(path, error) from error


def _opened_file(folder: int, name: str, path: Path) -> int:
    try:
        descriptor = os.open(name, _FILE, dir_fd=folder)
    except FileNotFoundError as error:
        raise NotFoundError(f"{path}: there is no {name} here: this is not a bundle") from error
    except OSError as error:
        raise _failure(path, error) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InvalidInputError(f"{path}: {name} is not a regular file")
    return descriptor


def _chunks(descriptor: int, path: Path) -> Iterator[bytes]:
    while True:
        try:
            chunk = os.read(descriptor, _CHUNK)
        except OSError as error:
            raise _failure(path, error) from error
        if not chunk:
            return
        yield chunk


def _failure(path: Path, error: OSError) -> InvalidInputError | NotFoundError | StorageError:
    if isinstance(error, FileNotFoundError):
        return NotFoundError(f"{path}: there is no bundle here")
    if error.errno in (errno.ELOOP, errno.ENXIO):
        return InvalidInputError(f"{path}: the bundle must be a regular file, not a link or pipe")
    return StorageError(f"{path}: cannot be read: {error.strerror}")

"""Names of unfinished work: held locked by their makers, swept where nobody holds them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
from collections.abc import Callable

from bty_app.errors import StorageError
from bty_app.store.directories import DIRECTORY, temporary_name

NEW_FILE = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CLAIMS = 20


def claimed(folder: int, name: str, make: Callable[[str], int]) -> tuple[str, int]:
    """What `make` makes beside `name`, and its descriptor, locked. A sweep that comes in between
    takes it away: then another is made.

    Raises:
        OSError, StorageError: it cannot be made.
    """
    for left in reversed(range(_CLAIMS)):
        temporary = temporary_name(name)
        try:
            descriptor = make(temporary)
        except (FileExistsError, FileNotFoundError):  # of another PID namespace; swept already
            if not left:
                raise
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_at(folder, temporary, descriptor):
                return temporary, descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise StorageError(f"{name}: other programs keep on taking away what is written for it")


def new_file(folder: int, name: str, mode: int) -> int:
    """A descriptor of a new file to write to; raises OSError."""
    return os.open(name, os.O_RDWR | NEW_FILE, mode, dir_fd=folder)


def new_directory(folder: int, name: str) -> int:
    """A descriptor of a new directory; raises OSError."""
    os.mkdir(name, 0o700, dir_fd=folder)
    return os.open(name, DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)


def _is_at(folder: int, name: str, descriptor: int) -> bool:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(descriptor))


def sweep_prefix(folder: int, prefix: str) -> None:
    """Remove what begins like that and nobody holds; raises OSError where it cannot be listed."""
    for name in os.listdir(folder):
        if name.startswith(prefix):
            _remove_if_abandoned(folder, name)


def _remove_if_abandoned(folder: int, name: str) -> None:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with contextlib.suppress(OSError):  # gone, locked by its maker, or not ours: leave it
        descriptor = os.open(name, flags, dir_fd=folder)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                shutil.rmtree(name, dir_fd=folder)
            else:
                os.unlink(name, dir_fd=folder)
        finally:
            os.close(descriptor)

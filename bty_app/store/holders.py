"""Which processes have a file open or locked, as far as this one may see."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

_PROC = Path("/proc")


def holders(*paths: Path) -> list[str]:
    """Other processes that have one of `paths` open or locked: "sqlite3 (pid 4711)" ..."""
    files = {identity for path in paths if (identity := _identity(path))}
    if not files:
        return []
    locks = ""
    with contextlib.suppress(OSError):  # no /proc: nobody can be named
        locks = (_PROC / "locks").read_text(encoding="ascii", errors="replace")
    pids = set(lock_owners(locks, files)) | set(_openers(files))
    return [_named(pid) for pid in sorted(pids - {os.getpid()})]


def openers(*paths: Path) -> list[str]:
    """Other processes that have one of `paths` open."""
    files = {identity for path in paths if (identity := _identity(path))}
    return [_named(pid) for pid in sorted(set(_openers(files)) - {os.getpid()})]


def in_use(*paths: Path) -> str:
    """Who else has one of `paths` open, for a sentence; empty when nobody has. As
    `is_open_elsewhere`, it is not to be asked while a database is open there.
    """
    named = ", ".join(openers(*paths))
    if not named and any(is_open_elsewhere(path) for path in paths):
        return "another program, perhaps in a container,"
    return named


def is_open_elsewhere(path: Path) -> bool:
    """Has anybody `path` open, be it in another container, whose processes /proc does not show?

    The kernel grants a lease for writing to the only opener of a file. Not to be asked while this
    process has a database open there: closing the descriptor would drop its locks. False where it
    cannot be told: another owner's file, a file system without leases.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        # Whoever opens it this very moment must not end this process: SIGIO would.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    finally:
        os.close(descriptor)
    return False


def lock_owners(locks: str, files: Iterable[tuple[int, int]]) -> Iterator[int]:
    """The processes that hold a lock on one of `files`, from the text of /proc/locks.

    Args:
        locks: proc_locks(5).
        files: (`st_dev`, `st_ino`) pairs.
    """
    wanted = {f"{os.major(device):02x}:{os.minor(device):02x}:{inode}" for device, inode in files}
    for line in locks.splitlines():
        fields = line.split()
        if "->" in fields:  # one that waits for the lock
            continue
        if len(fields) >= 6 and fields[5] in wanted and fields[4].isdigit():
            yield int(fields[4])


def _identity(path: Path) -> tuple[int, int] | None:
    with contextlib.suppress(OSError):  # not there: nobody can have it by this name
        status = path.stat()
        return status.st_dev, status.st_ino
    return None


def _openers(files: set[tuple[int, int]]) -> Iterator[int]:
    with contextlib.suppress(OSError):  # no /proc
        for entry in os.scandir(_PROC):
            if entry.name.isdigit() and _has_open(Path(entry.path) / "fd", files):
                yield int(entry.name)


def _has_open(descriptors: Path, files: set[tuple[int, int]]) -> bool:
    with contextlib.suppress(OSError):  # another user's, or gone meanwhile
        return any(_identity(descriptor) in files for descriptor in descriptors.iterdir())
    return False


def _named(pid: int) -> str:
    with contextlib.suppress(OSError):
        name = (_PROC / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").strip()
        return f"{name} (pid {pid})"
    return f"pid {pid}"

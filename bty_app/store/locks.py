"""Who may touch the state directory: two advisory locks that die with their holder.

`state.lock` is held shared by every process that has `state.db` open, and exclusive by the one
that rotates or replaces it. `serve.lock` is held by the one server of the directory.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bty_app.errors import ConflictError, StorageError
from bty_app.store.holders import holders

SERVE_LOCK = "serve.lock"
_POLL_SECONDS = 0.05


@contextmanager
def shared(state_dir: Path) -> Iterator[None]:
    """Hold `state.lock` together with others.

    Raises:
        ConflictError: a process is replacing the database right now.
        StorageError: the lock file cannot be made.
    """
    with _held(state_dir / "state.lock", fcntl.LOCK_SH, wait_seconds=5.0):
        yield


@contextmanager
def exclusive(state_dir: Path, *, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold `state.lock` alone, waiting up to `wait_seconds` for the others to leave.

    Raises:
        ConflictError: another process still has the database open.
        StorageError: the lock file cannot be made.
    """
    with _held(state_dir / "state.lock", fcntl.LOCK_EX, wait_seconds=wait_seconds):
        yield


@contextmanager
def serving(state_dir: Path, *, about: str, wait_seconds: float = 0.0) -> Iterator[None]:
    """Be the one server of `state_dir`; `about` is what a second one is told of the first.

    Raises:
        ConflictError: another server owns the directory; the sentence says which.
        StorageError: the lock file cannot be made.
    """
    path = state_dir / SERVE_LOCK
    with _held(path, fcntl.LOCK_EX, wait_seconds=wait_seconds) as descriptor:
        with contextlib.suppress(OSError):  # a full disk: a second one is told less
            before = os.fstat(descriptor)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, about.encode(), 0)
            # Its time is that of the last start that succeeded: see `stale_log`.
            os.utime(descriptor, ns=(0, before.st_mtime_ns if before.st_size else 0))
        yield


def is_served(state_dir: Path) -> bool:
    """Whether a server owns `state_dir` now, as far as this user can see."""
    try:
        descriptor = os.open(state_dir / SERVE_LOCK, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextmanager
def alone(path: Path, *, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold the lock file `path` alone, waiting up to `wait_seconds` for the others to leave.

    Raises:
        ConflictError: another process or thread holds it.
        StorageError: the lock file cannot be made.
    """
    with _held(path, fcntl.LOCK_EX, wait_seconds=wait_seconds):
        yield


@contextmanager
def _held(path: Path, kind: int, *, wait_seconds: float) -> Iterator[int]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StorageError(f"{path}: cannot be opened: {error.strerror}") from error
    try:
        _take(descriptor, path, kind, wait_seconds)
        yield descriptor
    finally:
        # Closing alone leaves it to a child that another thread is starting, until that runs.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _take(descriptor: int, path: Path, kind: int, wait_seconds: float) -> None:
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise ConflictError(_busy(descriptor, path)) from error
            time.sleep(_POLL_SECONDS)
        else:
            return


def _busy(descriptor: int, path: Path) -> str:
    told = ""
    with contextlib.suppress(OSError):
        told = os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip()
    who = told or ", ".join(holders(path))
    about = f" ({who})" if who else ""
    return f"another bty process{about} owns {path.parent}: stop it first, or use another directory"

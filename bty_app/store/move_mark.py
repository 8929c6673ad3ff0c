"""The mark that an appliance has moved: a file, so that it outlives a rotation of the database."""

from __future__ import annotations

import os
from pathlib import Path

from bty_app.domain.migration import MARK_FILE, Mark, State, mark_text, parse_mark, refusal
from bty_app.errors import StorageError
from bty_app.store.directories import disk_failures, opened_directory
from bty_app.store.publish import publish_file

_MAX_BYTES = 4096


def get(state_dir: Path) -> Mark | None:
    """The mark, or None. One that is there and cannot be read is a mark all the same.

    Raises:
        StorageError: the disk does not say whether there is one.
    """
    path = state_dir / MARK_FILE
    try:
        path.lstat()  # asked before each change: it needs no descriptor, so that is never missing
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        return Mark("")  # no state is there at all
    except OSError as error:
        raise StorageError(
            f"{path}: whether this appliance has moved cannot be seen: {error.strerror}"
        ) from error
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return Mark("")
    try:
        return parse_mark(os.read(descriptor, _MAX_BYTES))
    except OSError:
        return Mark("")
    finally:
        os.close(descriptor)


def put(state_dir: Path, mark: Mark) -> None:
    """Make the mark, durably.

    Raises:
        StorageError: it cannot be written; it may be there all the same.
    """
    publish_file(state_dir / MARK_FILE, mark_text(mark))


def remove(state_dir: Path) -> None:
    """Take the mark away, durably.

    Raises:
        StorageError: it cannot be removed.
    """
    with disk_failures(state_dir / MARK_FILE), opened_directory(state_dir) as folder:
        os.unlink(MARK_FILE, dir_fd=folder)
        os.fsync(folder)


def refused(state_dir: Path) -> str:
    """Why nothing may be changed in `state_dir`; empty where it may."""
    try:
        mark = get(state_dir)
    except StorageError as error:
        return error.message
    return refusal(State.MOVED, mark.to) if mark else ""

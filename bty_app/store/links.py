"""Symbolic links that lead from one whole thing to another, at once."""

from __future__ import annotations

import os
from pathlib import Path

from bty_app.store.directories import (
    RENAME_EXCHANGE,
    disk_failures,
    opened_directory,
    rename2,
    temporary_name,
)


def point_link(link: Path, target: str) -> None:
    """Make the symbolic link `link` lead to `target`, in place of where it led.

    Raises:
        StorageError: it cannot be done; the link is untouched.
    """
    with disk_failures(link), opened_directory(link.parent) as folder:
        temporary = temporary_name(link.name)
        os.symlink(target, temporary, dir_fd=folder)
        os.rename(temporary, link.name, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)


def exchange_links(one: Path, other: Path) -> None:
    """Two symbolic links of one directory change places, at once where the file system can.

    Raises:
        StorageError: it cannot be done.
    """
    with disk_failures(one), opened_directory(one.parent) as folder:
        if rename2(folder, one.name, other.name, RENAME_EXCHANGE):
            os.fsync(folder)
            return
        first, second = (os.readlink(link.name, dir_fd=folder) for link in (one, other))
    # A crash in between leaves both on `second`, which is the one that is wanted.
    point_link(one, second)
    point_link(other, first)

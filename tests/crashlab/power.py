"""A disk whose power can be cut: ext4 in a file, shut down by ioctl without writing its journal."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

EXT4_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
NOLOGFLUSH = 2
_SIZE = 400 * 1024 * 1024  # a hole: moves keep a reserve free


class Disk:
    """Mounted at `root` inside the block of `on()`; what was not synced is gone after a cut."""

    def __init__(self, place: Path) -> None:
        self._image = place / "disk.img"
        self.root = place / "disk"
        self.root.mkdir(parents=True)
        with self._image.open("wb") as file:
            file.truncate(_SIZE)
        # The harshest ext4 there is: nothing but fsync brings data to the disk in time.
        _run("mkfs.ext4", "-q", "-F", str(self._image))

    @contextmanager
    def on(self) -> Iterator[Path]:
        """Mount it for the block."""
        self._take_what_is_free()
        options = "loop,data=writeback,noauto_da_alloc"
        _run("mount", "-t", "ext4", "-o", options, str(self._image), str(self.root))
        try:
            yield self.root
        finally:
            with suppress(subprocess.CalledProcessError):  # not where the power was cut
                self.sync()
            try:
                _run("umount", str(self.root))
            except subprocess.CalledProcessError:  # a failed check still holds a file
                _run("umount", "--lazy", str(self.root))
                raise

    def _take_what_is_free(self) -> None:
        """A mount namespace that another program made meanwhile has the disk as well, for as long
        as it lives, and would give us the one without power: go on with a copy of what is on it.
        """
        if _run("losetup", "-j", str(self._image)):
            copy = self._image.with_name(f"{self._image.name}.copy")
            _run("cp", "--sparse=always", str(self._image), str(copy))
            self._image = copy

    def sync(self) -> None:
        """Bring everything to the disk."""
        _run("sync", "-f", str(self.root))

    def cut(self) -> None:
        """Cut the power."""
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("I", NOLOGFLUSH))
        finally:
            os.close(descriptor)


def reason_against(place: Path) -> str:
    """Why no such disk can be had here; empty when it can."""
    if os.geteuid() != 0:
        return "not root"
    with suppress(OSError, subprocess.CalledProcessError):
        disk = Disk(place / "trial")
        with disk.on():
            pass
        return ""
    return "no loop device, or no ext4"


def _run(*command: str) -> bytes:
    return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout

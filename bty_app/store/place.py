"""The state directory as a place: its kind of file system, its room, and names that last."""

from __future__ import annotations

import os
import re
from pathlib import Path

from bty_app.errors import ConfigError

# A write-ahead log needs memory shared between processes, which these cannot give, and their
# locks do not always reach the other machine.
NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ncpfs"})
_MOUNTS = Path("/proc/self/mountinfo")
_ESCAPE = re.compile(r"\\([0-7]{3})")


def sync_directory(directory: Path) -> None:
    """Make the names in `directory` durable.

    Raises:
        OSError: the disk refused.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_file_system(state_dir: Path) -> None:
    """Refuse a directory on a file system that cannot hold a write-ahead log.

    Raises:
        ConfigError: it is on a network file system; the sentence names the remedy.
    """
    if kind := network_file_system(state_dir):
        raise ConfigError(
            f"{state_dir}: is on a network file system ({kind}), which cannot keep a database"
            " safe: put the state directory on a local disk; backups may go over the network. Where"
            " there is none, BTY_TUNING_JOURNAL=delete does without what is missing, at a price"
        )


def network_file_system(state_dir: Path) -> str:
    """Which one `state_dir` is on; empty: none, or nobody can tell."""
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
        place = state_dir.resolve(strict=True)
        device = place.stat().st_dev
    except OSError:  # without /proc nobody can tell; without the directory the caller will
        return ""
    kind = file_system_type(mounts, str(place), device)
    return kind if kind in NETWORK_FILE_SYSTEMS else ""


def file_system_type(mounts: str, path: str, device: int) -> str | None:
    """The kind of file system under `path`, from the text of /proc/self/mountinfo, or None.

    Args:
        mounts: proc_pid_mountinfo(5).
        path: absolute, without links.
        device: `st_dev` of the path; decides between mounts of which one hides the other.
    """
    best: tuple[bool, int, int] | None = None
    kind: str | None = None
    number = f"{os.major(device)}:{os.minor(device)}"
    for line_number, line in enumerate(mounts.splitlines()):
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if not separator or len(fields) < 5:
            continue
        point = _ESCAPE.sub(lambda match: chr(int(match[1], 8)), fields[4])
        if path != point and not path.startswith(point.rstrip("/") + "/"):
            continue
        rank = (fields[2] == number, len(point), line_number)
        if best is None or rank > best:
            best, kind = rank, after.split(" ")[0]
    return kind


def free_bytes(directory: Path) -> int:
    """How many bytes this process may still write under `directory`.

    Raises:
        OSError: the directory cannot be looked at.
    """
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


def size_of(path: Path) -> int:
    """The size of a file in bytes; 0 when there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0

"""A cpio archive in the kernel's format (its documentation of the buffer format, "070701").

The same entries give the same bytes: owners and times are zero.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

DIRECTORY = stat.S_IFDIR | 0o755
PROGRAM = stat.S_IFREG | 0o755
FILE = stat.S_IFREG | 0o644
LINK = stat.S_IFLNK | 0o777
CONSOLE = stat.S_IFCHR | 0o600


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, directory, link or device; `name` is without a leading slash."""

    name: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def archive(entries: Iterable[Entry]) -> Iterator[bytes]:
    """The parts of the archive, in the order of the entries."""
    inode = 0
    for inode, entry in enumerate(entries, 1):
        yield _record(entry, inode)
    yield _record(Entry("TRAILER!!!", 0), inode + 1)


def with_directories(entries: Iterable[Entry]) -> list[Entry]:
    """The entries sorted by name, and the directories that they are in; the later one of a name
    counts.
    """
    by_name = {entry.name: entry for entry in entries}
    for name in list(by_name):
        parent = name.rpartition("/")[0]
        while parent and parent not in by_name:
            by_name[parent] = Entry(parent, DIRECTORY)
            parent = parent.rpartition("/")[0]
    return [by_name[name] for name in sorted(by_name)]


def _record(entry: Entry, inode: int) -> bytes:
    name = entry.name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (
        *(inode, entry.mode, 0, 0, links, 0, len(entry.data)),  # owner 0:0, time 0
        *(0, 0, *entry.device, len(name), 0),
    )
    header = b"070701" + b"".join(b"%08x" % field for field in fields)
    return _padded(header + name) + _padded(entry.data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)

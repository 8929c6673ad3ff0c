"""Which process has a port, as far as this one may see (proc(5))."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

_PROC = Path("/proc")
_LISTENING = "0A"


class Protocol(StrEnum):
    """As the tables of /proc/net are called."""

    TCP = "tcp"
    UDP = "udp"


@dataclass(frozen=True, slots=True)
class Holder:
    """`pid` is None where it belongs to another user, of whom then only the `uid` is known."""

    pid: int | None
    name: str
    uid: int

    @property
    def words(self) -> str:
        """Who it is."""
        if self.pid is None:
            return f"a process of the user {self.uid}"
        return f"{self.name} (pid {self.pid})"


def holder(protocol: Protocol, port: int, proc: Path = _PROC) -> Holder | None:
    """Who listens on a port of this host; None when nobody does."""
    found = dict(_sockets(protocol, port, proc))
    if not found:
        return None
    links = {f"socket:[{inode}]" for inode in found}
    uid = next(iter(found.values()))
    # The question is mostly whether it is this process itself.
    for pid in (os.getpid(), *_pids(proc)):
        if _has_one(proc / str(pid) / "fd", links):
            name = "a process"
            with contextlib.suppress(OSError):
                name = (proc / str(pid) / "comm").read_text("utf-8", "replace").strip()
            return Holder(pid, name, uid)
    return Holder(None, "", uid)


def _sockets(protocol: Protocol, port: int, proc: Path) -> Iterator[tuple[int, int]]:
    """Inode and user of the sockets that have the port."""
    for table in (proc / "net" / protocol, proc / "net" / f"{protocol}6"):
        lines: list[str] = []
        with contextlib.suppress(OSError):  # no /proc, or no IPv6
            lines = table.read_text("ascii", "replace").splitlines()[1:]
        for line in lines:
            fields = line.split()
            if len(fields) < 10 or not fields[1].endswith(f":{port:04X}"):
                continue
            if protocol is Protocol.UDP or fields[3] == _LISTENING:
                yield int(fields[9]), int(fields[7])


def _pids(proc: Path) -> list[int]:
    with contextlib.suppress(OSError):
        return sorted(int(name) for name in os.listdir(proc) if name.isdigit())  # noqa: PTH208
    return []


def _has_one(descriptors: Path, links: set[str]) -> bool:
    with contextlib.suppress(OSError):  # another user's, or gone meanwhile
        for entry in os.scandir(descriptors):
            with contextlib.suppress(OSError):
                if os.readlink(entry.path) in links:  # noqa: PTH115 - many of them
                    return True
    return False

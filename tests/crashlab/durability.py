"""Reads from strace's output whether things were durable before, and after, they got a name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.crashlab.program import BEGIN, END

CALLS = (
    "write,pwrite64,writev,ftruncate,fallocate,fsync,fdatasync,syncfs,"
    "rename,renameat,renameat2,link,linkat,rmdir"
)
_LINE = re.compile(r"^(?:\d+ +)?(\w+)\((.*)\)\s+= (-?\d+)")
_DESCRIPTOR = re.compile(r"^\d+<([^>]*)>")
_NAME = re.compile(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"')
_WRITES = frozenset({"write", "pwrite64", "writev", "ftruncate", "fallocate"})
_SYNCS = frozenset({"fsync", "fdatasync"})
_NAMES = frozenset({"rename", "renameat", "renameat2", "link", "linkat"})
_TRANSIENT = ("-shm",)  # SQLite makes it anew from the log


@dataclass
class Order:
    """`broken` are sentences; `named` counts the names that were given."""

    place: str
    dirty: set[str] = field(default_factory=set)
    waiting: dict[str, str] = field(default_factory=dict)  # a directory, and the name given in it
    broken: list[str] = field(default_factory=list)
    named: int = 0

    def read(self, lines: Iterable[str]) -> Order:
        """Look at each call between the marks."""
        for call, arguments in _calls(lines):
            descriptor = _DESCRIPTOR.match(arguments)
            path = descriptor[1].removesuffix(" (deleted)") if descriptor else ""
            if call in _WRITES and path.startswith(self.place):
                if not path.endswith(_TRANSIENT):
                    self.dirty.add(path)
            elif call in _SYNCS:
                self.dirty.discard(path)
                self.waiting.pop(path, None)
            elif call == "syncfs":
                self.dirty.clear()
                self.waiting.clear()
            elif call in _NAMES:
                self._name(arguments)
        self.broken += [f"{name}: its directory was not synced" for name in self.waiting.values()]
        return self

    def _name(self, arguments: str) -> None:
        old, new = (str(Path(base or "/") / name) for base, name in _NAME.findall(arguments)[:2])
        if not new.startswith(self.place):
            return
        self.named += 1
        below = {path for path in self.dirty if path == old or path.startswith(f"{old}/")}
        self.broken += [f"{new} got its name before {path} was synced" for path in sorted(below)]
        self.dirty -= below
        self.dirty |= {new + path.removeprefix(old) for path in below}
        self.waiting[str(Path(new).parent)] = new


def _calls(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    inside = False
    for line in lines:
        if f'"{BEGIN}"' in line:
            inside = True
        elif f'"{END}"' in line:
            return
        elif inside and (found := _LINE.match(line)) and int(found[3]) >= 0:
            yield found[1], found[2]
    raise AssertionError("the end mark was not reached")

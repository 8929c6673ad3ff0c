"""Kernel modules: which are kept, and all that they need."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from bty_app.live.patterns import chosen

_DEPENDS = re.compile(rb"(?<=\0)(depends|softdep)=([^\0]*)\0")


def name_of(path: str) -> str:
    """The name of the module in a file, spelled as `depends` spells it."""
    return path.rpartition("/")[2].partition(".ko")[0].replace("-", "_")


def needs(data: bytes) -> tuple[str, ...]:
    """The names of the modules that a module needs, and of those that it wants loaded before."""
    found: list[str] = []
    for kind, value in _DEPENDS.findall(b"\0" + data):
        words = value.decode("ascii", "replace").replace("-", "_")
        if kind == b"depends":
            found += words.split(",")
        else:  # "pre: a b post: c"
            found += [word for word in words.split() if not word.endswith(":")]
    return tuple(name for name in found if name)


def closure(
    paths: Sequence[str], patterns: Iterable[str], needed: Callable[[str], Sequence[str]]
) -> list[str]:
    """The modules that the patterns choose, and all that they need, sorted.

    Args:
        paths: of all modules, below the kernel's directory.
        patterns: which to keep.
        needed: the names of the modules that the one at a path needs; asked of those that are
            kept, which are a few of thousands.
    """
    by_name = {name_of(path): path for path in paths}
    waiting = chosen(paths, patterns)
    kept: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in kept:
            continue
        kept.add(path)
        waiting += [by_name[name] for name in needed(path) if name in by_name]
    return sorted(kept)

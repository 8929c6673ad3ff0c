"""An unpacked system, and what of it is kept, with the libraries that it needs."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from bty_app.live import cpio, elf
from bty_app.live.patterns import matcher

MERGED = ("bin", "lib", "lib64", "sbin")


class Tree:
    """The files of an unpacked system, by their paths without a leading slash."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths = sorted(_walked(root))
        self._known = frozenset(self.paths)
        self._by_name = {path.rpartition("/")[2]: path for path in self.paths if ".so" in path}
        self._loaders = [path for path in self.paths if "/ld-linux-" in path]

    def kept(self, patterns: Iterable[str], dropped: Iterable[str]) -> list[str]:
        """The paths that the patterns keep, the targets of links among them, and libraries."""
        keep, drop = matcher(patterns), matcher(dropped)
        waiting = [p for p in self.paths if keep.fullmatch(p) and not drop.fullmatch(p)]
        found: set[str] = set()
        while waiting:
            path = waiting.pop()
            if path not in found:
                found.add(path)
                waiting += self._needed(path)
        return sorted(found)

    def entry(self, path: str) -> cpio.Entry:
        """The file or link as an entry of an archive."""
        at = self.root / path
        if at.is_symlink():
            return cpio.Entry(path, cpio.LINK, os.fsencode(at.readlink()))
        executable = at.stat().st_mode & stat.S_IXUSR
        return cpio.Entry(path, cpio.PROGRAM if executable else cpio.FILE, at.read_bytes())

    def entries(self, paths: Iterable[str]) -> Iterator[cpio.Entry]:
        """The entries of several paths, and the links of a merged /usr."""
        for name in MERGED:
            if (self.root / name).is_symlink():
                yield cpio.Entry(name, cpio.LINK, os.fsencode((self.root / name).readlink()))
        for path in paths:
            yield self.entry(path)

    def _needed(self, path: str) -> list[str]:
        at = self.root / path
        if at.is_symlink():
            target = os.path.normpath(Path(path).parent / at.readlink())
            return [target] if target in self._known else []
        return [
            self._by_name[name] for name in elf.needed(at.read_bytes()) if name in self._by_name
        ] + self._interpreter(at)

    def _interpreter(self, at: Path) -> list[str]:
        """The dynamic loader, which programs name by its path."""
        with at.open("rb") as file:
            is_elf = file.read(4) == b"\x7fELF"
        return self._loaders if is_elf else []


def _walked(root: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        links = [name for name in folders if (here / name).is_symlink()]
        for name in (*files, *links):
            yield (here / name).relative_to(root).as_posix()

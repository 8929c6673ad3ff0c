"""All files of the boot directory that travel to another host, and their digests."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from bty_app.domain.migration import Part, check_name, travels
from bty_app.errors import InvalidInputError, NotFoundError
from bty_app.store.directories import disk_failures

_CHUNK = 1024 * 1024
_Key = tuple[int, int, int]


class BootTree:
    """Digests are kept for as long as a file is what it was. Any thread may call."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[str, tuple[_Key, str]] = {}

    def parts(self) -> tuple[Part, ...]:
        """Every regular file, by name.

        Raises:
            StorageError: one cannot be read.
        """
        return tuple(sorted(self._parts(), key=lambda part: part.name))

    def links(self) -> dict[str, str]:
        """Where the links to sets lead."""
        return {
            name: os.readlink(path)  # noqa: PTH115 - as it stands there
            for name in ("current", "previous")
            if (path := self._root / name).is_symlink()
        }

    def opened(self, name: str) -> tuple[Part, BinaryIO]:
        """One of the files, for reading from its start.

        Raises:
            InvalidInputError: the name leads elsewhere.
            NotFoundError: there is no such file.
        """
        path = self._root / check_name(name)
        if not path.resolve().is_relative_to(self._root.resolve()):
            raise InvalidInputError(f"{name!r} leads out of the boot directory")
        try:
            is_file = stat.S_ISREG(path.stat().st_mode)
            file = path.open("rb") if is_file else None
        except OSError as error:
            raise NotFoundError(f"no such file: {name}") from error
        if file is None:
            raise NotFoundError(f"no such file: {name}")
        try:
            return self._part(name, file), file
        except BaseException:
            file.close()
            raise

    def _parts(self) -> Iterator[Part]:
        with disk_failures(self._root):
            for folder, folders, files in os.walk(self._root, onerror=_refused):
                folders[:] = [name for name in folders if travels(name)]
                for file in files:
                    path = Path(folder) / file
                    name = path.relative_to(self._root).as_posix()
                    if travels(name) and not path.is_symlink() and path.is_file():
                        with disk_failures(path), path.open("rb") as opened:
                            yield self._part(name, opened)

    def _part(self, name: str, file: BinaryIO) -> Part:
        found = os.fstat(file.fileno())
        key = (found.st_ino, found.st_mtime_ns, found.st_size)
        known = self._known.get(name)
        if known is None or known[0] != key:
            known = (key, digest_of(file))
            self._known[name] = known
        file.seek(0)
        return Part(name, found.st_size, known[1])


def _refused(error: OSError) -> None:
    """A directory that cannot be listed is not an empty one: its files would stay behind."""
    if not isinstance(error, FileNotFoundError):
        raise error


def digest_of(file: BinaryIO) -> str:
    """The SHA-256 of the rest of a file."""
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()

"""A backup as one tar archive, made while it is sent."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from bty_app.errors import NotFoundError, StorageError
from bty_app.store.backup_shelf import PARTS

_BLOCK = tarfile.BLOCKSIZE
_CHUNK = 256 * 1024
_END = bytes(2 * _BLOCK)


class Tar:
    """The archive of a backup, whose parts are open: it may be removed while it is sent.

    Iterate over it once, and close it.
    """

    def __init__(self, path: Path) -> None:
        """A directory of the backup's name with its parts, which never change.

        Raises:
            NotFoundError: it is gone.
            StorageError: a part cannot be read.
        """
        self._stack = ExitStack()
        self._parts: list[tuple[str, BinaryIO, os.stat_result]] = []
        try:
            for name in PARTS:
                self._add(path, name)
        except BaseException:
            self.close()
            raise
        if not self._parts:
            raise NotFoundError(f"the backup {path.name} has been removed")
        self.size = sum(_BLOCK + _padded(found.st_size) for _n, _f, found in self._parts)
        self.size += len(_END)

    def _add(self, path: Path, name: str) -> None:
        try:
            file = self._stack.enter_context((path / name).open("rb"))
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageError(f"{path / name}: cannot be read: {error.strerror}") from error
        self._parts.append((f"{path.name}/{name}", file, os.fstat(file.fileno())))

    def __iter__(self) -> Iterator[bytes]:
        """Its bytes.

        Raises:
            StorageError: a part cannot be read.
        """
        for name, file, found in self._parts:
            header = tarfile.TarInfo(name)
            header.size, header.mode, header.mtime = found.st_size, 0o600, int(found.st_mtime)
            yield header.tobuf(tarfile.USTAR_FORMAT)
            yield from _content(name, file, found.st_size)
            yield bytes(_padded(found.st_size) - found.st_size)
        yield _END

    def close(self) -> None:
        """Let go of the parts."""
        self._stack.close()


def _content(name: str, file: BinaryIO, size: int) -> Iterator[bytes]:
    left = size
    while left:
        chunk = file.read(min(_CHUNK, left))
        if not chunk:
            raise StorageError(f"{name}: has become shorter")
        left -= len(chunk)
        yield chunk


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK

"""A backup as one tar archive, made while it is sent."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

from bty_app.errors import StorageError
from bty_app.store.backup_shelf import PARTS

_BLOCK = tarfile.BLOCKSIZE
_CHUNK = 256 * 1024
_END = bytes(2 * _BLOCK)


def tar_size(path: Path) -> int:
    """How many bytes the archive of the backup at `path` has."""
    return sum(_BLOCK + _padded(size) for _part, size in _parts(path)) + len(_END)


def tar_of(path: Path) -> Iterator[bytes]:
    """The archive: a directory of the backup's name with its parts, which never change.

    Raises:
        StorageError: one cannot be read.
    """
    for part, size in _parts(path):
        header = tarfile.TarInfo(f"{path.name}/{part.name}")
        header.size, header.mode = size, 0o600
        header.mtime = int(part.stat().st_mtime)
        yield header.tobuf(tarfile.USTAR_FORMAT)
        yield from _content(part, size)
        yield bytes(_padded(size) - size)
    yield _END


def _parts(path: Path) -> list[tuple[Path, int]]:
    found = [path / name for name in PARTS]
    return [(part, part.stat().st_size) for part in found if part.is_file()]


def _content(part: Path, size: int) -> Iterator[bytes]:
    left = size
    with part.open("rb") as file:
        while left:
            chunk = file.read(min(_CHUNK, left))
            if not chunk:
                raise StorageError(f"{part}: has become shorter")
            left -= len(chunk)
            yield chunk


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK

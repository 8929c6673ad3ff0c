"""The files in a tar archive of a stranger: plain names only, and bounded before they are read."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Self, cast

from bty_app.domain.artifact_set import MAX_FILES, MAX_SET_BYTES
from bty_app.domain.jobs import Step, Teller
from bty_app.errors import InvalidInputError, TooLargeError
from bty_app.store.publish import create_file

CHUNK_BYTES = 1024 * 1024
MAX_HEADER_BYTES = 64 * 1024
MAX_MEMBERS = MAX_FILES + 16  # with the manifest, its signature, and directories

# RecursionError: headers about headers about headers.
_BAD = (
    *(tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError),
    *(ValueError, RecursionError),
)
_DECOMPRESSED: tuple[tuple[bytes, Callable[[BinaryIO], object]], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ\x00", lzma.open),
)


class _Member(tarfile.TarInfo):
    """Headers about headers are read into memory whole: refuse large ones."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        found = super().frombuf(buf, encoding, errors)
        if not (found.isreg() or found.isdir()) and found.size > MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {found.size} bytes")
        return found


class _Peeked:
    """A stream of which the first bytes have been looked at."""

    def __init__(self, file: BinaryIO, head: bytes) -> None:
        self._file = file
        self._head = head

    def read(self, size: int = -1) -> bytes:
        if self._head:
            cut = len(self._head) if size < 0 else size
            part, self._head = self._head[:cut], self._head[cut:]
            return part
        return self._file.read(size)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False


def unpack(file: BinaryIO, place: Path, teller: Teller) -> None:
    """Unpack the archive into the empty directory `place`, which is flat: the names of files are
    kept, and those of directories are not.

    Raises:
        CancelledError: it was cancelled.
        InvalidInputError: it is no tar archive, or has what no set has: links, devices, two files
            of one name, names that are not plain.
        TooLargeError: there is too much in it.
        StorageError: the disk does not take it.
    """
    head = file.read(6)
    stream = cast("BinaryIO", _Peeked(file, head))
    opened = next((opened for magic, opened in _DECOMPRESSED if head.startswith(magic)), None)
    try:
        plain = cast("BinaryIO", opened(stream)) if opened else stream
        with tarfile.open(fileobj=plain, mode="r|", tarinfo=_Member) as archive:
            _unpack(archive, place, teller)
    except _BAD as error:
        why = str(error) or type(error).__name__
        raise InvalidInputError(f"the archive cannot be read: {why[:200]}") from error


def _unpack(archive: tarfile.TarFile, place: Path, teller: Teller) -> None:
    total = 0
    for number, member in enumerate(archive, 1):
        if number > MAX_MEMBERS:
            raise TooLargeError(f"the archive has more than {MAX_MEMBERS} members")
        if member.isdir():
            continue
        name = _checked_name(member)
        total += member.size
        if total > MAX_SET_BYTES:
            raise TooLargeError(f"the archive holds more than {MAX_SET_BYTES // 2**30} GiB")
        _write(archive, member, place / name, teller)


def _checked_name(member: tarfile.TarInfo) -> str:
    name = PurePosixPath(member.name).name
    if not member.isreg() or member.issparse() or not name or name.startswith("."):
        raise InvalidInputError(f"the archive has {member.name[:80]!r}, which is no plain file")
    return name


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path, teller: Teller) -> None:
    if path.exists():
        raise InvalidInputError(f"the archive has {path.name[:80]} twice")
    source = archive.extractfile(member)
    assert source is not None  # noqa: S101 - it is a regular file
    done = 0
    with create_file(path) as out:
        while chunk := source.read(CHUNK_BYTES):
            out.write(chunk)
            done += len(chunk)
            teller.tell(Step(f"unpacking {path.name}", done, member.size))
    if done != member.size:
        raise InvalidInputError(f"the archive ends within {path.name[:80]}")

"""The boot directory: files by plain name, never anything outside it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO, Protocol

from bty_app.domain.artifacts import IPXE_FILES, NEEDED, live_file, live_versions, why_not_ready
from bty_app.errors import InvalidInputError, NotFoundError, TooLargeError
from bty_app.store.publish import publishing_file

_CHUNK = 1024 * 1024


class Readable(Protocol):
    """Where an upload comes from."""

    def read(self, size: int, /) -> bytes: ...


class BootFiles:
    """Reads and stores boot files."""

    def __init__(self, directory: Path, ipxe_dir: Path) -> None:
        """`ipxe_dir` has the distribution's boot programs, for those that `directory` lacks."""
        self._directory = directory
        self._ipxe_dir = ipxe_dir

    def not_ready(self, version: str) -> str:
        """Why the live environment of this version cannot be booted, or nothing where it can."""
        needed = (f"{self._directory}/{live_file(version, suffix)}" for suffix in NEEDED)
        if all(os.path.isfile(path) for path in needed):  # noqa: PTH113 - each contact asks
            return ""
        try:
            found = live_versions(path.name for path in self._directory.iterdir())
        except OSError:
            found = []
        return why_not_ready(version, found)

    def opened(self, name: str) -> BinaryIO:
        """The regular file `name`, open for reading.

        Raises:
            InvalidInputError: the name is not plain, or a link that leads out of the directory.
            NotFoundError: there is no such file.
        """
        plain = plain_name(name)
        try:
            return _opened(self._within(plain), plain)
        except NotFoundError:
            if plain not in IPXE_FILES:
                raise
        # The package itself has links that lead elsewhere: Debian 12 keeps ipxe.efi in /boot.
        return _opened(Path(os.path.realpath(self._ipxe_dir / plain)), plain)

    def _within(self, name: str) -> Path:
        """Where `name` leads, which must be in the boot directory."""
        root = Path(os.path.realpath(self._directory))
        target = Path(os.path.realpath(root / name))
        if not target.is_relative_to(root):
            raise InvalidInputError(f"{name!r} leads out of the boot directory")
        return target

    def store(self, name: str, source: Readable, *, max_bytes: int) -> tuple[Path, int]:
        """Store a file under `name`, whole or not at all; return its path and size in bytes.

        Raises:
            InvalidInputError: the name is not plain.
            TooLargeError: it has more than `max_bytes`; nothing stays.
            StorageError: the disk did not take it; nothing stays.
        """
        path = self._directory / plain_name(name)
        self._directory.mkdir(mode=0o700, exist_ok=True)
        written = 0
        with publishing_file(path) as out:
            while chunk := source.read(_CHUNK):
                written += len(chunk)
                if written > max_bytes:
                    raise TooLargeError(f"the file is larger than {max_bytes} bytes")
                out.write(chunk)
        return path, written


def _opened(path: Path, name: str) -> BinaryIO:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        raise NotFoundError(f"no such file: {name}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotFoundError(f"no such file: {name}")
    return os.fdopen(descriptor, "rb")


def plain_name(name: str) -> str:
    """`name`, if it is one plain segment of a path.

    Raises:
        InvalidInputError: it is empty, a dot name, too long, or holds a separator or a control
            character.
    """
    bad = name in {"", ".", ".."} or any(c in "/\\" or ord(c) < 32 for c in name)
    if bad or len(name.encode("utf-8", "replace")) > 255:
        raise InvalidInputError(f"not a file name: {name[:80]!r}")
    return name

"""The boot directory: files by plain name, never anything outside it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from bty_app import __version__
from bty_app.domain.artifacts import (
    ARM64,
    IPXE_FILES,
    IPXE_USES,
    X86_64,
    Found,
    Live,
    for_both,
    live_versions,
    squashfs_versions,
)
from bty_app.errors import ConflictError, InvalidInputError, NotFoundError, TooLargeError
from bty_app.store.artifact_sets import CURRENT, PREVIOUS, ArtifactSets
from bty_app.store.publish import publishing_file

SETTLED_SECONDS = 1.0
_CHUNK = 1024 * 1024
_Stamp = tuple[int, ...]


class Readable(Protocol):
    """Where an upload comes from."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class BootProgram:
    """An iPXE binary: what it is for, and where it is; `place` is None where it is missing."""

    name: str
    use: str
    place: str | None

    @property
    def remedy(self) -> str:
        """What brings it here."""
        if ARM64 not in self.name:
            return "apt install ipxe"
        return f"put {self.name} into boot/; the ipxe package of Debian 13 has ipxe-arm64.efi"


class BootFiles:
    """Reads and stores boot files. Any thread may call."""

    def __init__(
        self,
        directory: Path,
        ipxe_dir: Path,
        *,
        live_version: str = "",
        running: str = __version__,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`ipxe_dir` has the distribution's boot programs, for those that `directory` lacks;
        `live_version` is the live environment that is asked for in the configuration.
        """
        self._directory = directory
        self._ipxe_dir = ipxe_dir
        self._sets = ArtifactSets(directory)
        self._live_version = live_version
        self._running = running
        self._clock = clock
        self._kept: tuple[_Stamp, Live] | None = None

    @property
    def directory(self) -> Path:
        """Where they are."""
        return self._directory

    @property
    def asked_for(self) -> str:
        """The version that is asked for in the configuration, if one is."""
        return self._live_version

    def stamp(self) -> str:
        """A word that is another one once something here has come, gone, or another size or time.

        In the boot directory itself only coming and going are looked at: it may have many files.
        """
        found: list[object] = [self._sets.current(), self._sets.previous()]
        for place in (self._directory, self._ipxe_dir, self._directory / "sets"):
            with contextlib.suppress(OSError):
                found.append(place.stat().st_mtime_ns)
        for stored in self._sets.paths():
            with contextlib.suppress(OSError), os.scandir(stored) as entries:
                facts = ((entry.name, entry.stat(follow_symlinks=False)) for entry in entries)
                found += sorted((name, f.st_size, f.st_mtime_ns) for name, f in facts)
        return hashlib.sha256(repr(found).encode()).hexdigest()[:12]

    def live(self) -> Live:
        """The live environment that machines boot, or why they cannot.

        What is in the directories is read when they have changed: each contact asks.
        """
        stamp = self._stamp()
        kept = self._kept
        if kept is not None and kept[0] == stamp:
            return kept[1]
        found = self.live_now()
        # Two changes within one tick of the file system's clock have the same time.
        settled = self._clock() - max(stamp, default=0) / 1e9 > SETTLED_SECONDS
        self._kept = (stamp, found) if settled else None
        return found

    def live_now(self) -> Live:
        """As `live`, looked at anew: a file that was cut off in its place counts as well."""
        found = (self.found(arch) for arch in (X86_64, ARM64))
        return for_both(*found, configured=self._live_version, running=self._running)

    def found(self, arch: str = X86_64) -> Found:
        """What live environments there are for an architecture."""
        try:
            names = os.listdir(self._directory)  # noqa: PTH208 - names alone
        except OSError:
            return Found()
        current = self._sets.current()
        by_hand = live_versions(names, arch)
        if current is None:
            return Found(by_hand, with_squashfs=squashfs_versions(names, arch))
        stored = self._sets.get(current)
        if stored.facts is None:  # it may have been for any
            version = current.rpartition("-")[0] if arch == X86_64 else None
            return Found(by_hand, version, False, squashfs_versions(names, arch) - {version})
        listed = stored.facts.digests
        of_set = live_versions(listed, arch)
        version = of_set[-1] if of_set else None
        # A version that is there twice comes from the set.
        squashfs = (squashfs_versions(names, arch) - {version}) | squashfs_versions(listed, arch)
        return Found(by_hand, version, stored.is_whole and version is not None, squashfs)

    def programs(self) -> Iterator[BootProgram]:
        """The iPXE binaries that sites need, and where each comes from."""
        for name, use in IPXE_USES.items():
            places = (self._directory / place / name for place in (CURRENT, "", PREVIOUS))
            if any(path.is_file() for path in places):
                yield BootProgram(name, use, "boot")
            else:
                packaged = (self._ipxe_dir / name).is_file()
                yield BootProgram(name, use, "package" if packaged else None)

    def _root(self) -> Path:
        return Path(os.path.realpath(self._directory))

    def _stamp(self) -> _Stamp:
        """When the directory and its current set changed last, in nanoseconds."""
        found = []
        for path in (f"{self._directory}", f"{self._directory}/{CURRENT}"):
            with contextlib.suppress(OSError):
                found.append(os.stat(path).st_mtime_ns)  # noqa: PTH116 - each contact asks
        return tuple(found)

    def opened(self, name: str) -> BinaryIO:
        """The regular file `name`, open for reading: of the current set, else as it was put into
        the directory, else of the set before (a box may be in the middle of booting it), else of
        the distribution.

        Raises:
            InvalidInputError: the name is not plain, or a link that leads out of the directory.
            NotFoundError: there is no such file.
        """
        plain = plain_name(name)
        for place in (CURRENT, "", PREVIOUS):
            if place and plain.startswith("."):
                continue
            with contextlib.suppress(NotFoundError):
                return _opened(self._within(plain, place), plain)
        if plain not in IPXE_FILES:
            raise NotFoundError(f"no such file: {plain}")
        # The package itself has links that lead elsewhere: Debian 12 keeps ipxe.efi in /boot.
        return _opened(Path(os.path.realpath(self._ipxe_dir / plain)), plain)

    def _within(self, name: str, place: str) -> Path:
        """Where `name` leads, which must be in the boot directory."""
        root = self._root()
        target = Path(os.path.realpath(root / place / name))
        if not target.is_relative_to(root):
            raise InvalidInputError(f"{name!r} leads out of the boot directory")
        return target

    def store(self, name: str, source: Readable, *, max_bytes: int) -> tuple[Path, int]:
        """Store a file under `name`, whole or not at all; return its path and size in bytes.

        Raises:
            InvalidInputError: the name is not plain.
            ConflictError: the current set has a file of this name.
            TooLargeError: it has more than `max_bytes`; nothing stays.
            StorageError: the disk did not take it; nothing stays.
        """
        path = self._directory / plain_name(name)
        if name in {CURRENT, PREVIOUS, "sets"}:
            raise InvalidInputError(f"{name!r} is where the installed sets are")
        if os.path.lexists(self._directory / CURRENT / name):
            raise ConflictError(
                f"{name} belongs to the installed netboot artifacts, which come first: install"
                " another set, or roll back"
            )
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

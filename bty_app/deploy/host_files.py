"""The releases of a host: `bty-<version>.pyz` side by side, and a link `bty.pyz` to one."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from bty_app.deploy.stack import Release
from bty_app.errors import ConfigError, InvalidInputError, NotFoundError, StorageError
from bty_app.store.directories import disk_failures
from bty_app.store.place import sync_directory
from bty_app.store.publish import publishing_file

LINK = "bty.pyz"
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+-]{0,63}", re.ASCII)
_CHUNK = 1024 * 1024
_ANSWER_SECONDS = 60.0


@dataclass(slots=True)
class HostFiles:
    """The files in `directory`; `python` runs them."""

    directory: Path
    python: str = sys.executable
    _known: dict[tuple[str, int, int], str] = field(default_factory=dict)

    @property
    def link(self) -> Path:
        """What the service starts."""
        return self.directory / LINK

    def current(self) -> Release:
        """The release that is started; its reference is the name that it has, or will be given.

        Raises:
            NotFoundError: there is none.
            InvalidInputError: it is no release of bty.
        """
        if not self.link.exists():
            raise NotFoundError(f"{self.link}: there is no bty here")
        version = self.version_of(self.link)
        return Release(version, str(self.named(version)))

    def named(self, version: str) -> Path:
        """The file of that release.

        Raises:
            InvalidInputError: that is no version.
        """
        if not _VERSION.fullmatch(version):
            raise InvalidInputError(f"{version[:64]!r} is no version")
        return self.directory / f"bty-{version}.pyz"

    def path_of(self, release: Release) -> Path:
        """The file to run for a release: one that was never upgraded has no name of its own yet."""
        path = Path(release.reference)
        return path if path.exists() else self.link

    def keep_current(self) -> None:
        """Give what is started its own name, as a copy: it must not change with what comes.

        Raises:
            StorageError: it cannot be written.
        """
        release = self.current()
        named = Path(release.reference)
        if self.link.is_symlink() and self.link.resolve() == named.resolve():
            return
        self._copy(self.link, named)

    def add(self, offered: Path, version: str) -> Release:
        """Copy a release here under its name, and read it back.

        Raises:
            InvalidInputError: it is no bty, or of another version.
            StorageError: it cannot be written, or does not read back as it was.
        """
        found = self.version_of(offered)
        if found != version:
            raise InvalidInputError(f"{offered}: is bty {found}, and not {version}")
        named = self.named(version)
        if offered.resolve() != named.resolve():
            self._copy(offered, named)
        return Release(version, str(named))

    def choose(self, release: Release) -> None:
        """Let `bty.pyz` lead to that release; durable when this returns.

        Raises:
            NotFoundError: its file is gone.
            StorageError: the disk refused; what was chosen before still is.
        """
        named = Path(release.reference)
        if not named.is_file():
            raise NotFoundError(f"{named}: there is no such file any more")
        temporary = self.directory / f".tmp-{LINK}"  # one at a time: whoever upgrades has a lock
        with disk_failures(self.link):
            temporary.unlink(missing_ok=True)  # a killed run's
            temporary.symlink_to(named.name)
            temporary.replace(self.link)
            sync_directory(self.directory)

    def version_of(self, path: Path) -> str:
        """Which release a file is, by its own word.

        Raises:
            NotFoundError: there is no such file.
            InvalidInputError: it is no bty.
        """
        try:
            status = path.stat()
        except OSError as error:
            raise NotFoundError(f"{path}: cannot be read: {error.strerror}") from error
        key = (str(path.resolve()), status.st_ino, status.st_mtime_ns)
        if key not in self._known:
            self._known[key] = self._asked(path)
        return self._known[key]

    def _asked(self, path: Path) -> str:
        try:
            done = subprocess.run(  # noqa: S603 - the file that an operator names or runs
                [self.python, str(path), "--version"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_ANSWER_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise InvalidInputError(f"{path}: does not say its version") from error
        except OSError as error:
            raise ConfigError(f"{self.python}: cannot be run: {error.strerror}") from error
        program, _, version = done.stdout.strip().partition(" ")
        if done.returncode or program != "bty" or not _VERSION.fullmatch(version):
            raise InvalidInputError(f"{path}: is no bty: it does not say its version")
        return version

    def _copy(self, source: Path, target: Path) -> None:
        digest = hashlib.sha256()
        with disk_failures(target), source.open("rb") as file:
            with publishing_file(target, mode=0o755) as copy:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
                    copy.write(chunk)
            if _digest(target) != digest.hexdigest():
                raise StorageError(f"{target}: does not read back as it was written")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # from the disk
        return hashlib.file_digest(file, "sha256").hexdigest()

"""A directory as a place for copies of backups, maybe on another file system or another host's.

It has to be there: a mount that is missing must not fill the disk below it.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bty_app.domain.offsite import DirectoryTarget
from bty_app.domain.place import MAX_ENTRIES, Content, Stored
from bty_app.errors import CancelledError, NotAllowedError, NotFoundError, StorageError
from bty_app.store import publish

_CHUNK = 1024 * 1024
_TEMPORARY = ".tmp-"


class Directory:
    """A directory. Threads: any may call."""

    proves: bool = False
    note: str = ""

    def __init__(self, target: DirectoryTarget) -> None:
        self._root = Path(target.path)
        self.shown = f"file://{target.path}"

    def listed(self, folder: str = "") -> list[Stored]:
        """Every file there, in its folders."""
        with self._failures():
            return [
                Stored(f"{path.parent.name}/{path.name}", path.lstat().st_size)
                for path in self._files(folder)
                if not path.name.startswith(_TEMPORARY)
            ]

    def size(self, name: str) -> int | None:
        """The size of a file."""
        with self._failures():
            try:
                return (self._root / name).lstat().st_size
            except FileNotFoundError:
                return None

    def put(self, name: str, content: Content, is_wanted: Callable[[], bool]) -> None:
        """Store a file: under a temporary name beside it, durable, then renamed."""
        path = self._root / name
        with self._failures():
            space = os.statvfs(self._root)
            if space.f_bavail * space.f_frsize < content.size:
                raise StorageError(f"{self.shown} has no room for {content.size} bytes more")
            publish.make_directories(path.parent)
            with publish.publishing_file(path) as file:
                for chunk in content.chunks():
                    if not is_wanted():
                        raise CancelledError("it was cancelled")
                    file.write(chunk)

    def read(self, name: str, at: int = 0) -> Iterator[bytes]:
        """The bytes of a file."""
        with self._failures():
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                descriptor = os.open(self._root / name, flags)
            except FileNotFoundError as error:
                raise NotFoundError(f"{self.shown}/{name}: is not there") from error
            with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor
                file.seek(at)
                while chunk := file.read(_CHUNK):
                    yield chunk

    def remove(self, name: str) -> None:
        """Remove a file, and its folder with the last one."""
        path = self._root / name
        with self._failures():
            path.unlink(missing_ok=True)
            with contextlib.suppress(FileNotFoundError):
                publish.sweep(path.parent)
            try:
                path.parent.rmdir()
            except OSError as error:
                if error.errno not in {errno.ENOTEMPTY, errno.ENOENT, errno.EEXIST}:
                    raise

    def abandoned(self) -> list[str]:
        """Files under a temporary name."""
        with self._failures():
            found = (path for path in self._files("") if path.name.startswith(_TEMPORARY))
            return [f"{path.parent.name}/{path.name}" for path in found]

    def tidy(self, older_than_seconds: float) -> int:  # noqa: ARG002 - those in use are locked
        """Remove what killed writers left."""
        before = len(self.abandoned())
        with self._failures():
            for folder in self._folders(""):
                publish.sweep(folder)
        return before - len(self.abandoned())

    def _files(self, folder: str) -> Iterator[Path]:
        for count, path in enumerate(
            path for found in self._folders(folder) for path in sorted(found.iterdir())
        ):
            if count >= MAX_ENTRIES:
                raise StorageError(f"{self.shown} holds more files than copies of backups have")
            if path.is_file() and not path.is_symlink():
                yield path

    def _folders(self, folder: str) -> list[Path]:
        if not self._root.is_dir():
            raise StorageError(f"{self.shown} is not there: mount it, or make the directory")
        found = [self._root / folder] if folder else sorted(self._root.iterdir())
        return [path for path in found if path.is_dir() and not path.is_symlink()]

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Say what a failure of the block means, as a sentence about the place."""
        try:
            if not self._root.is_dir():
                raise StorageError(f"{self.shown} is not there: mount it, or make the directory")
            yield
        except PermissionError as error:
            raise NotAllowedError(f"{self.shown}: this user may not: {error.filename}") from error
        except OSError as error:
            raise StorageError(f"{self.shown}: {error.strerror or error}") from error

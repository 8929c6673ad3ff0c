"""The directory of backups: what is on it, what is known of each, and how one leaves it.

A backup is a directory with a bundle, mostly the whole database, a manifest and digests; none of
these is ever written again. `marks.json` beside them is ours to change: pinned, read back, drilled.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bty_app.domain.backups import (
    Backup,
    Manifest,
    Marks,
    manifest_of,
    marks_data,
    marks_of,
    moment_of,
)
from bty_app.domain.bundle import FILE_NAME
from bty_app.errors import ConflictError, NotFoundError, StorageError
from bty_app.store import locks, publish
from bty_app.store.directories import disk_failures, opened_directory
from bty_app.store.holders import holders

STATE = "state.db"
MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
MARKS = "marks.json"
PARTS = (FILE_NAME, STATE, MANIFEST, SUMS)

_LOCK = ".lock"
_MARKS_LOCK = ".marks.lock"
_REMOVED = ".del-"
_LIMIT = 1024 * 1024  # a manifest is never larger
_LONGEST_BYTES = 128


@dataclass(frozen=True, slots=True)
class Shelf:
    """The backups in `directory`, which may not be there yet. Any thread may call."""

    directory: Path

    def ids(self) -> list[str]:
        """The names of all backups, sorted.

        Raises:
            StorageError: the directory cannot be read.
        """
        try:
            with os.scandir(self.directory) as entries:
                found = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StorageError(f"{self.directory}: cannot be read: {error.strerror}") from error
        return sorted(name for name in found if is_plain(name) and self._holds_a_bundle(name))

    def items(self) -> list[Backup]:
        """All backups, the newest first; what is not dated comes last.

        Raises:
            StorageError: the directory cannot be read.
        """
        never = datetime.min.replace(tzinfo=UTC)
        found = [self._read(name) for name in self.ids()]
        return sorted(found, key=lambda item: (item.taken_at or never, item.id), reverse=True)

    def readable(self) -> list[Backup]:
        """The same; none where the directory cannot be read."""
        try:
            return self.items()
        except StorageError:
            return []

    def find(self, backup_id: str) -> Backup:
        """One backup.

        Raises:
            NotFoundError: there is none of this name.
        """
        if not is_plain(backup_id) or not self._is_directory(backup_id):
            raise NotFoundError(f"there is no backup {backup_id[:64]!r} in {self.directory}")
        if not self._holds_a_bundle(backup_id):
            raise NotFoundError(f"{self.path(backup_id)}: holds no bundle, so it is no backup")
        return self._read(backup_id)

    def path(self, backup_id: str) -> Path:
        """Where a backup of this name is, or would be."""
        return self.directory / backup_id

    def stamp(self) -> str:
        """Another text once a backup has come or gone."""
        try:
            return f"{self.directory.stat().st_mtime_ns}"
        except OSError:
            return "none"

    # -- changing ------------------------------------------------------------------------------

    @contextmanager
    def alone(self, *, wait_seconds: float = 0.0) -> Iterator[None]:
        """Nobody else makes or removes backups here meanwhile; the directory is made if need be.
        Who does is waited for so long.

        Raises:
            ConflictError: somebody does.
            StorageError: the directory cannot be written.
        """
        publish.make_directories(self.directory)
        with ExitStack() as stack:
            try:
                stack.enter_context(locks.alone(self.directory / _LOCK, wait_seconds=wait_seconds))
            except ConflictError as error:
                raise ConflictError(
                    f"a backup is being made in {self.directory}: wait until it is done"
                ) from error
            yield

    def holders(self) -> list[str]:
        """Other processes that make or remove backups here now: "bty (pid 4711)"."""
        return holders(self.directory / _LOCK)

    def mark(self, backup_id: str, change: Callable[[Marks], Marks]) -> Marks:
        """Change what is known of a backup; others who do so meanwhile wait.

        Raises:
            NotFoundError: there is none of this name.
            StorageError: it cannot be written.
        """
        with locks.alone(self.directory / _MARKS_LOCK, wait_seconds=5.0):
            marks = change(self.find(backup_id).marks)
            text = json.dumps(marks_data(marks), indent=2) + "\n"
            publish.publish_file(self.path(backup_id) / MARKS, text.encode("ascii"))
        return marks

    def remove(self, backup_id: str) -> None:
        """Take a backup off the shelf; its name is free, durably, before a byte of it goes.

        Raises:
            StorageError: it cannot be removed.
        """
        aside = f"{_REMOVED}{backup_id}"
        with disk_failures(self.path(backup_id)), opened_directory(self.directory) as folder:
            with suppress(FileNotFoundError):  # an earlier one of this name, not swept yet
                shutil.rmtree(aside, dir_fd=folder)
            os.rename(backup_id, aside, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)
            shutil.rmtree(aside, dir_fd=folder)

    def sweep(self) -> None:
        """Remove what killed makers and removers have left. Hold the shelf `alone`.

        Raises:
            StorageError: it cannot be removed.
        """
        publish.sweep(self.directory)
        with disk_failures(self.directory), opened_directory(self.directory) as folder:
            for path in self.directory.iterdir():
                if path.name.startswith(_REMOVED):
                    shutil.rmtree(path.name, dir_fd=folder)

    # -- one backup ----------------------------------------------------------------------------

    def _read(self, name: str) -> Backup:
        path = self.path(name)
        known = manifest_of(_json(path / MANIFEST))
        return Backup(
            id=name,
            manifest=known,
            marks=marks_of(_json(path / MARKS)),
            size=sum(_size(path / part) for part in PARTS),
            taken_at=_taken_at(name, known),
            is_full=_size(path / STATE) > 0,
        )

    def _is_directory(self, name: str) -> bool:
        path = self.path(name)
        return path.is_dir() and not path.is_symlink()

    def _holds_a_bundle(self, name: str) -> bool:
        return any(_size(self.path(name) / part) for part in (FILE_NAME, MANIFEST))


def is_plain(name: str) -> bool:
    """Whether this can be the name of a backup: one component, none of our own leftovers."""
    return (
        name.isprintable()
        and 0 < len(name.encode()) <= _LONGEST_BYTES
        and "/" not in name
        and not name.startswith((".", "-"))
    )


def _taken_at(name: str, known: Manifest) -> datetime | None:
    return known.created_at or moment_of(name)


def _size(path: Path) -> int:
    try:
        return path.stat(follow_symlinks=False).st_size
    except OSError:
        return 0


def _json(path: Path) -> object:
    """The JSON data in a small file; None for anything else."""
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _LIMIT:
            return None
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None

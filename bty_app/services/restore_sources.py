"""What can be put back: a backup directory, or a database file; found, and proven whole."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bty_app.domain.bundle import FILE_NAME
from bty_app.domain.restoring import Origin
from bty_app.errors import BtyError, InvalidInputError, NotFoundError, StorageError
from bty_app.store import hardware, restore_source, soundness
from bty_app.store.backup_shelf import MANIFEST, STATE, SUMS
from bty_app.store.old_database import is_of_the_disk
from bty_app.store.version import stamp

_BACKUP_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_LIMIT = 1024 * 1024
_MOST_SAID = 3
_MOST_KNOWN = 32


@dataclass(frozen=True, slots=True)
class Source:
    """A database file, and what its backup says of it; a file alone says nothing."""

    path: Path
    name: str
    sha256: str | None = None
    machines: int | None = None
    created_at: str | None = None


@dataclass(frozen=True, slots=True)
class Proven:
    """A copy in a place of our own, looked at in full."""

    copy: Path
    origin: Origin


class Sound:
    """The digests of databases that were looked at in full, so that once is enough."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, None] = {}

    def has(self, sha256: str) -> bool:
        """Whether this very content was found to be sound."""
        with self._lock:
            return sha256 in self._known

    def add(self, sha256: str) -> None:
        """It was; the oldest of many is forgotten."""
        with self._lock:
            self._known[sha256] = None
            if len(self._known) > _MOST_KNOWN:
                del self._known[next(iter(self._known))]


def backup_path(backups_dir: Path, backup_id: str) -> Path:
    """The directory of the backup of this name.

    Raises:
        NotFoundError: there is none, or this is no name of one.
    """
    path = backups_dir / backup_id
    if not _BACKUP_ID.fullmatch(backup_id) or path.is_symlink() or not path.is_dir():
        raise NotFoundError(f"there is no backup {backup_id[:80]!r}")
    return path


def found(path: Path) -> Source:
    """The database that `path` stands for.

    Raises:
        NotFoundError: there is nothing.
        InvalidInputError: it holds no whole database.
    """
    if not path.is_dir():
        if not path.exists() and not path.is_symlink():
            raise NotFoundError(f"{path}: there is nothing here to restore")
        return Source(path, path.name)
    if not (path / STATE).exists():
        if (path / FILE_NAME).exists():
            raise InvalidInputError(
                f"{path}: is a bundle: it has the hardware of the machines and nothing else."
                f" Take that over with: bty import {path}"
            )
        raise InvalidInputError(f"{path}: holds no backup: no {STATE}, no {FILE_NAME}")
    manifest = _manifest(path)
    machines, made = manifest.get("machines"), manifest.get("created_at")
    return Source(
        path=path / STATE,
        name=path.name,
        sha256=_digest(path),
        machines=machines if type(machines) is int else None,
        created_at=made if isinstance(made, str) and len(made) <= 40 else None,
    )


@contextmanager
def proven(state_dir: Path, source: Source, version: str, sound: Sound) -> Iterator[Proven]:
    """A copy of the database for the block: whole, of this release, with rows that can be ours.

    Raises:
        InvalidInputError: it is damaged, of another release, or another program's.
        StorageError: it cannot be read, or there is no room for a copy.
    """
    with restore_source.staged(state_dir, source.path) as staged:
        if source.sha256 not in (None, staged.sha256):
            raise InvalidInputError(
                f"{source.path}: its digest is not the one in {SUMS}: the file has changed;"
                " take another backup, or rescue what is readable: bty recover --salvage"
            )
        if not sound.has(staged.sha256):
            _check_release(source, staged.path, version)
            _check_whole(source, staged.path, version)
            sound.add(staged.sha256)
        yield Proven(staged.path, Origin(source.name, staged.sha256, source.created_at))


def _check_release(source: Source, copy: Path, version: str) -> None:
    try:
        with hardware.opened_archive(copy) as connection:
            by = stamp(connection)
    except BtyError as error:
        if is_of_the_disk(error.message):
            raise
        raise _damaged(source, [error.message.replace(str(copy), source.path.name)]) from error
    if by.version != version:
        raise InvalidInputError(
            f"{source.path}: is of {by.version or 'nobody: it is empty'}, and this is {version}:"
            " it cannot be put back as it is. What this release can use of it:"
            f" bty recover {source.path}"
        )


def _check_whole(source: Source, copy: Path, version: str) -> None:
    try:
        with hardware.opened_archive(copy) as connection:
            examined = soundness.examine(connection, expected_version=version)
        problems = list(examined.problems)
        if not problems and source.machines not in (None, examined.machines):
            problems = [f"it holds {examined.machines} machines, and {MANIFEST} says otherwise"]
        if not problems:
            restore_source.check_rows(copy)
    except BtyError as error:
        problems = [error.message.replace(str(copy), source.path.name)]
    if any(map(is_of_the_disk, problems)):
        raise StorageError(f"{source.path}: the disk refuses to read it back: try again")
    if problems:
        raise _damaged(source, problems)


def _damaged(source: Source, problems: list[str]) -> InvalidInputError:
    said = "; ".join(" ".join(problem.split()) for problem in problems[:_MOST_SAID])
    more = f"; and {len(problems) - _MOST_SAID} more" if len(problems) > _MOST_SAID else ""
    return InvalidInputError(
        f"{source.path}: cannot be put back: {said}{more}."
        f" What is readable: bty recover --salvage {source.path}"
    )


def _digest(path: Path) -> str:
    for line in _text(path / SUMS).splitlines():
        digest, _, name = line.partition("  ")
        if name == STATE and _DIGEST.fullmatch(digest):
            return digest
    raise InvalidInputError(f"{path / SUMS}: says nothing of {STATE}: this backup proves nothing")


def _manifest(path: Path) -> dict[str, object]:
    try:
        value = json.loads(_text(path / MANIFEST))
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{path / MANIFEST}: is not JSON") from error
    if not isinstance(value, dict):
        raise InvalidInputError(f"{path / MANIFEST}: is not a JSON object")
    return value


def _text(path: Path) -> str:
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _LIMIT:
            raise InvalidInputError(f"{path}: is missing, or not a file of a backup")
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path}: cannot be read: {error}") from error

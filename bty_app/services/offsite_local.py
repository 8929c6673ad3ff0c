"""The backups of this host, as they are copied elsewhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bty_app.domain.bundle import FILE_NAME
from bty_app.domain.offsite import Taken, check_id
from bty_app.domain.sha_manifest import MAX_MANIFEST_BYTES, listed_files
from bty_app.errors import InvalidInputError, NotFoundError, StorageError
from bty_app.services.backup_files import MANIFEST, STATE, SUMS, sha256_of

_CHUNK = 1024 * 1024
_NAMES = frozenset({FILE_NAME, STATE, MANIFEST})


@dataclass(frozen=True, slots=True)
class Part:
    """A file of a backup."""

    path: Path
    name: str
    size: int
    sha256: str

    def chunks(self) -> Iterator[bytes]:
        """Its bytes; they have to be those of the digest.

        Raises:
            StorageError: it cannot be read, or was changed.
        """
        digest = hashlib.sha256()
        try:
            with self.path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
                    yield chunk
        except OSError as error:
            raise StorageError(f"{self.path}: cannot be read: {error.strerror}") from error
        if digest.hexdigest() != self.sha256:
            raise StorageError(f"{self.path}: was changed while it was read")


@dataclass(frozen=True, slots=True)
class Local:
    """A backup that was read and has the digests that it had when it was taken."""

    taken: Taken
    parts: tuple[Part, ...]


def listed(backups_dir: Path) -> list[Taken]:
    """The backups that are there; what is none is passed over."""
    found = []
    for name in names(backups_dir):
        try:
            found.append(_taken(backups_dir / name))
        except (InvalidInputError, NotFoundError):
            continue
    return found


def names(backups_dir: Path) -> list[str]:
    """The directories that may be backups, sorted.

    Raises:
        StorageError: the directory cannot be read.
    """
    try:
        paths = sorted(backups_dir.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(f"{backups_dir}: cannot be read: {error.strerror}") from error
    return [p.name for p in paths if not p.name.startswith(".") and (p / SUMS).is_file()]


def read(path: Path) -> Local:
    """The backup at `path`, each file compared with its digest.

    Raises:
        NotFoundError: there is none.
        InvalidInputError: it is not whole: it is not copied.
    """
    taken = _taken(path)
    rows = listed_files(_small(path / SUMS))
    sums = {name: digest for digest, name in rows if name in _NAMES}
    if len(sums) != len(rows) or not {FILE_NAME, MANIFEST} <= sums.keys():
        raise InvalidInputError(f"{path / SUMS}: does not list the files of a backup")
    sums[SUMS] = sha256_of(path / SUMS)
    parts = []
    for name, digest in sums.items():
        part = path / name
        if part.is_symlink() or not part.is_file() or sha256_of(part) != digest:
            raise InvalidInputError(f"{part}: is not what it was when the backup was taken")
        parts.append(Part(part, name, part.stat().st_size, digest))
    return Local(taken, tuple(parts))


def _taken(path: Path) -> Taken:
    check_id(path.name)
    if not (path / SUMS).is_file():
        raise NotFoundError(f"{path}: there is no backup")
    try:
        told = json.loads(_small(path / MANIFEST))
        created = datetime.fromisoformat(told["created_at"])
        taken = Taken(
            path.name,
            str(told.get("instance_id") or "")[:200],
            str(told["trigger"])[:200],
            created.replace(tzinfo=created.tzinfo or UTC),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InvalidInputError(f"{path / MANIFEST}: is no manifest of a backup") from error
    return taken


def _small(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_MANIFEST_BYTES + 1)
    except OSError as error:
        raise InvalidInputError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > MAX_MANIFEST_BYTES:
        raise InvalidInputError(f"{path}: is larger than such a file is")
    return data

"""Is it what it should be? Bundles, backups, archives and the live database, looked at in full."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bty_app.domain.backups import manifest_of
from bty_app.domain.bundle import FILE_NAME, Rejected
from bty_app.domain.bundle_reader import BundleReader
from bty_app.errors import BtyError, InvalidInputError, NotFoundError
from bty_app.services import backup_proof, bundles
from bty_app.services.backup_files import sha256_of
from bty_app.store import bundle_file, hardware, soundness
from bty_app.store.backup_shelf import MANIFEST, STATE, SUMS

_MOST = 20
_LIMIT = 1024 * 1024  # a manifest or a list of sums is never larger
_Opener = Callable[[Path], AbstractContextManager[hardware.Connection]]
_DATABASE_ENDINGS = (".db", ".bak", ".sqlite", ".sqlite3")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a path is, and each thing that is wrong with it as a sentence; none: it is sound.
    `notes` are machines of a backup's bundle that no import would take: they are in its database.
    `compared` says how far its database was compared with the one that it was copied from.
    """

    path: Path
    kind: str
    version: str | None
    machines: int
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()
    compared: str = ""

    @property
    def sound(self) -> bool:
        """Was nothing found wrong?"""
        return not self.problems


def verify(path: Path) -> Verdict:
    """Look at what is at `path`: a bundle, a backup, or a database in use or not.

    Raises:
        NotFoundError: there is nothing.
    """
    if not path.exists():
        raise NotFoundError(f"{path}: there is nothing here to verify")
    if path.is_dir():
        return verify_backup(path) if (path / SUMS).exists() else verify_bundle(path)
    if path.name == STATE and not (path.parent / SUMS).exists():  # it may be in use
        return verify_live(path.parent)
    if path.name.endswith(_DATABASE_ENDINGS):
        return verify_archive(path)
    return verify_bundle(path)


def verify_live(state_dir: Path, *, version: str | None = None) -> Verdict:
    """The database of `state_dir`, a server beside it or not.

    Raises:
        NotFoundError: there is none.
    """
    path = state_dir / STATE
    if not path.exists():
        raise NotFoundError(f"{path}: there is no database here")
    with bundles.reading(state_dir):
        return _database(path, "database", hardware.opened, version)


def verify_archive(path: Path) -> Verdict:
    """A database that nobody writes to."""
    return _database(path, "archive", hardware.opened_archive, None)


def verify_bundle(path: Path) -> Verdict:
    """A bundle: every machine in it must be one that an import takes."""
    found, rejected = _bundle(path)
    return replace(found, problems=_shortened([*rejected, *found.problems]))


def _bundle(path: Path) -> tuple[Verdict, list[str]]:
    """The bundle as a whole, and the machines in it that an import would not take."""
    problems: list[str] = []
    rejected: list[str] = []
    machines = 0
    written_by = None
    try:
        with bundle_file.opened(path) as chunks:
            reader = BundleReader(chunks)
            for machine in reader.machines():
                machines += 1
                if isinstance(machine, Rejected):
                    rejected.append(str(machine))
            written_by = reader.exported_by
    except BtyError as error:
        problems.append(error.message)
    return Verdict(path, "bundle", written_by, machines, tuple(problems)), rejected


def verify_backup(path: Path) -> Verdict:
    """A backup: its digests, its bundle, its database, and that the three agree."""
    problems: list[str] = []
    version: str | None = None
    compared = ""
    bundle, rejected = _bundle(path)
    try:
        problems += _sums_problems(path)
        manifest = _manifest(path)
        found = manifest.get("database_version")
        version = found if isinstance(found, str) else None
        problems += _count_problems("the bundle", bundle.machines, manifest)
        if manifest.get("includes_state"):
            state = verify_archive(path / STATE)
            problems += [f"{STATE}: {problem}" for problem in state.problems]
            if state.version != version:
                problems.append(f"{STATE} is of version {state.version}, not of {version}")
            if not problems:
                known = manifest_of(manifest)
                problems += backup_proof.disagreements(path, known)
                compared = backup_proof.compared(path, known)
    except BtyError as error:
        problems.append(error.message)
    problems += [f"{FILE_NAME}: {problem}" for problem in bundle.problems]
    notes = _shortened([f"{FILE_NAME}: {text}" for text in rejected])
    return Verdict(path, "backup", version, bundle.machines, _shortened(problems), notes, compared)


def _database(path: Path, kind: str, opened: _Opener, version: str | None) -> Verdict:
    try:
        with opened(path) as connection:
            found = soundness.examine(connection, expected_version=version)
    except BtyError as error:
        return Verdict(path, kind, None, 0, (error.message,))
    return Verdict(path, kind, found.version, found.machines, _shortened(list(found.problems)))


def _sums_problems(path: Path) -> Iterator[str]:
    listed: set[str] = set()
    for line in _text(path / SUMS).splitlines():
        digest, _, name = line.partition("  ")
        if name not in (FILE_NAME, STATE, MANIFEST) or name in listed:
            yield f"{SUMS}: {name[:64]!r} has no place in a backup"
            continue
        listed.add(name)
        part = path / name
        if part.is_symlink() or not part.is_file():
            yield f"{name}: is missing"
        elif sha256_of(part) != digest:
            yield f"{name}: its digest is not the one in {SUMS}: the file has changed"
    for name in (FILE_NAME, MANIFEST):
        if name not in listed:
            yield f"{SUMS}: says nothing of {name}"


def _count_problems(what: str, machines: int, manifest: dict[str, Any]) -> Iterator[str]:
    if machines != manifest.get("machines"):
        said = str(manifest.get("machines"))[:20]
        yield f"{what} holds {machines} machines, and the manifest says {said}"


def _manifest(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(_text(path / MANIFEST))
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{MANIFEST}: is not JSON") from error
    if not isinstance(value, dict):
        raise InvalidInputError(f"{MANIFEST}: is not a JSON object")
    return value


def _text(path: Path) -> str:
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _LIMIT:
            raise InvalidInputError(f"{path.name}: is missing, or not a file of a backup")
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path.name}: cannot be read: {error}") from error


def _shortened(problems: list[str]) -> tuple[str, ...]:
    if len(problems) <= _MOST:
        return tuple(problems)
    return (*problems[:_MOST], f"and {len(problems) - _MOST} more")

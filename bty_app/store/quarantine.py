"""Damaged and orphaned files are set aside, all together: never overwritten, never deleted.

A plan file, written before the first file moves, lets the next start finish what was cut off. It
goes away last, when a fresh database that tells of it is in place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from bty_app.domain.rotation import quarantine_name
from bty_app.errors import StorageError
from bty_app.store.creation import exists, sidecar
from bty_app.store.place import size_of, sync_directory
from bty_app.store.publish import publish_file

FOLDER = "quarantine"
# The database goes first: no other program may find it without the log that belongs to it.
_SET = ("", "-wal", "-journal", "-shm")


@dataclass(frozen=True, slots=True)
class Plan:
    """What moves where, and why.

    `files` gives the inode of each name, so that a new file of the same name is left alone.
    """

    folder: str
    reason: str
    problem: str
    files: Mapping[str, int]


def plan_file(state_db: Path) -> Path:
    """Where the plan stands while it is carried out."""
    return state_db.with_name("quarantine.plan")


def present(state_db: Path, suffixes: Sequence[str] = _SET) -> list[Path]:
    """Which files of the set of a database are there."""
    paths = [sidecar(state_db, suffix) for suffix in suffixes]
    return [path for path in paths if exists(path)]


def with_content(state_db: Path) -> list[Path]:
    """The logs beside a database that hold something."""
    return [path for path in present(state_db, ("-wal", "-journal")) if size_of(path)]


def set_aside(
    state_db: Path, files: Sequence[Path], *, now: datetime, why: tuple[str, str]
) -> Plan:
    """Move `files` into a new directory of evidence, durably; call `done` when all else is.

    Args:
        state_db: the database that they belong to.
        files: what to move, in this order.
        now: names the directory.
        why: a word for programs, a sentence for people.

    Raises:
        StorageError: cut off; the next start goes on with it.
    """
    place = state_db.parent / FOLDER
    try:
        taken = {entry.name for entry in place.iterdir()} if exists(place) else set()
        plan = Plan(
            folder=f"{FOLDER}/{quarantine_name(now, taken)}",
            reason=why[0],
            problem=why[1],
            files={path.name: path.lstat().st_ino for path in files},
        )
    except OSError as error:
        raise _refused(place, error) from error
    publish_file(plan_file(state_db), json.dumps(asdict(plan)).encode())
    _move(state_db.parent, plan)
    return plan


def unfinished_plan(state_db: Path) -> Plan | None:
    """A plan that was cut off, its files now moved; None when there is none.

    Raises:
        StorageError: it cannot be carried out; try again.
    """
    path = plan_file(state_db)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _refused(path, error) from error
    plan = _parsed(path, content)
    _move(state_db.parent, plan)
    return plan


def done(state_db: Path) -> None:
    """Take the plan away.

    Raises:
        StorageError: the disk refused; the next start takes it away.
    """
    path = plan_file(state_db)
    try:
        path.unlink()
        sync_directory(path.parent)
    except OSError as error:
        raise _refused(path, error) from error


def _move(state_dir: Path, plan: Plan) -> None:
    target = state_dir / plan.folder
    try:
        for folder in (target.parent, target):
            folder.mkdir(mode=0o700, exist_ok=True)
            sync_directory(folder.parent)
        for name, inode in plan.files.items():
            source = state_dir / name
            if not exists(target / name) and exists(source) and source.lstat().st_ino == inode:
                source.rename(target / name)
        sync_directory(target)
        sync_directory(state_dir)
    except OSError as error:
        raise _refused(target, error) from error


def _parsed(path: Path, content: bytes) -> Plan:
    try:
        fields = json.loads(content)
        plan = Plan(**{key: fields[key] for key in ("folder", "reason", "problem", "files")})
        parts = Path(plan.folder).parts
        whole = len(parts) == 2 and parts[0] == FOLDER and ".." not in parts
        whole = whole and all(Path(name).name == name for name, _inode in plan.files.items())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(f"{path}: is not a plan of ours; look at it, then remove it") from error
    if not whole:
        raise StorageError(f"{path}: is not a plan of ours; look at it, then remove it")
    return plan


def _refused(path: Path, error: OSError) -> StorageError:
    return StorageError(f"{path}: damaged files cannot be set aside here: {error.strerror}")

"""The fresh database takes the name of the old one, which gets a second name before that.

Where the file system has hard links the swap is one rename. Elsewhere it is two, and a plan file,
written before the first, says how to finish them.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
from pathlib import Path

import apsw

from bty_app.domain.rotation import is_archive_name
from bty_app.errors import ConflictError, StorageError
from bty_app.store import sqlite
from bty_app.store.creation import exists, publish, unfinished
from bty_app.store.place import sync_directory
from bty_app.store.publish import publish_file
from bty_app.store.version import stored_version

PREDECESSOR = "predecessor"  # the key in bty_instance under which a database names its archive
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS, errno.EXDEV})
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # linux/fs.h


def make_private(state_db: Path) -> None:
    """The file that is about to be an archive is for its owner alone; another's stays as it is.

    Raises:
        OSError: the disk refused.
    """
    try:
        state_db.chmod(0o600)
    except OSError as error:
        if error.errno != errno.EPERM:
            raise


def plan_file(state_db: Path) -> Path:
    """Where the plan of a swap without hard links stands."""
    return state_db.with_name("rotate.plan")


def second_names(state_db: Path) -> list[Path]:
    """Archive names that already are this very file: a swap was cut off after its link."""
    status = state_db.lstat()
    if status.st_nlink < 2:
        return []
    return sorted(
        path
        for path in state_db.parent.iterdir()
        if is_archive_name(path.name) and os.path.samestat(path.lstat(), status)
    )


def drop_second_names(state_db: Path) -> None:
    """Take the archive names off a database that stays in use: it must not have two names."""
    names = second_names(state_db)
    for path in names:
        path.unlink()
    if names:
        sync_directory(state_db.parent)


def swap(state_db: Path, archive: Path, *, version: str = "") -> None:
    """Give the old file the name `archive` and the finished new one the name `state_db`. The new
    one names `archive` as its predecessor, or else is of the release `version`, and the old is not.

    Raises:
        StorageError: cut off; the next start finishes it or begins anew.
    """
    try:
        if archive not in second_names(state_db):
            os.link(state_db, archive, follow_symlinks=False)
        sync_directory(state_db.parent)
    except OSError as error:
        if error.errno in _NO_LINKS:
            _swap_by_plan(state_db, archive, version)
            return
        raise StorageError(
            f"{archive}: the old database cannot be given this name: {error.strerror};"
            " nothing was changed"
        ) from error
    publish(unfinished(state_db), state_db)


def finish_swap(state_db: Path) -> None:
    """Bring a swap by plan that was cut off to one of its two ends.

    Raises:
        StorageError: the disk refused; try again.
    """
    plan = plan_file(state_db)
    try:
        name, version = _plan_of(plan.read_bytes())
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(f"{plan}: cannot be read: {error.strerror}") from error
    try:
        _finish(state_db, state_db.with_name(name), version)
        sync_directory(state_db.parent)
        plan.unlink()
        sync_directory(state_db.parent)
    except OSError as error:
        raise StorageError(f"{plan}: cannot be carried out: {error.strerror}") from error


def _finish(state_db: Path, archive: Path, version: str) -> None:
    new = unfinished(state_db)
    if exists(state_db) and _follows(state_db, archive, version):
        if exists(new) and not exists(archive):  # exchanged: the old one stands where the new was
            new.rename(archive)
    elif not exists(state_db) and exists(archive):
        if exists(new) and _follows(new, archive, version):
            new.rename(state_db)
        else:
            archive.rename(state_db)
    # Else nothing was moved yet: the start goes on as if there were no plan.


def _swap_by_plan(state_db: Path, archive: Path, version: str) -> None:
    if exists(archive):
        raise ConflictError(f"{archive}: exists already, and is left as it is; try again")
    new, folder, plan = unfinished(state_db), state_db.parent, plan_file(state_db)
    publish_file(plan, json.dumps({"archive": archive.name, "version": version}).encode())
    try:
        if _exchange(new, state_db):
            sync_directory(folder)
            new.rename(archive)
        else:
            state_db.rename(archive)
            sync_directory(folder)
            new.rename(state_db)
        sync_directory(folder)
        plan.unlink()
        sync_directory(folder)
    except OSError as error:
        raise StorageError(
            f"{archive}: the change of names was cut off: {error.strerror};"
            " nothing is lost, the next start goes on with it"
        ) from error


def _plan_of(content: bytes) -> tuple[str, str]:
    """The name of the archive, and the release of the new database where that is what tells it."""
    try:
        data = json.loads(content)
        name, version = str(data["archive"]), str(data.get("version", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        name, version = "", ""
    if not is_archive_name(name):
        raise StorageError("rotate.plan: is not a plan of ours; look at it, then remove it")
    return name, version


def _follows(path: Path, archive: Path, version: str) -> bool:
    """Is the database at `path` the successor of `archive`?"""
    try:
        connection = sqlite.connect(path, flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            if version and stored_version(connection) == version:
                return True
            sql = "SELECT 1 FROM bty_instance WHERE key = ? AND value = ?"
            return bool(connection.execute(sql, (PREDECESSOR, archive.name)).fetchall())
        finally:
            connection.close()
    except apsw.Error:  # another schema, or damaged: at any rate not the one just built
        return False


def _exchange(one: Path, other: Path) -> bool:
    """Let two names change places at once; False where that is not possible."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        return False
    names = os.fsencode(one), os.fsencode(other)
    return bool(function(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0)

"""Files and directories that appear under their name whole and durable, or not at all.

Work is done beside the destination under a `.tmp-` name that its maker holds locked; what a killed
maker left behind is recognised by the missing lock and swept by the next one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

from bty_app.errors import ConflictError, StorageError
from bty_app.store.claims import NEW_FILE, claimed, new_directory, new_file, sweep_prefix
from bty_app.store.directories import (
    RENAME_EXCHANGE,
    RENAME_NOREPLACE,
    disk_failures,
    opened_directory,
    rename2,
    sync_tree,
    temporary_name,
)

_BUFFER = 1024 * 1024


def publish_file(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Put `data` at `path`, in place of what is there; durable when this returns.

    Raises:
        StorageError: it cannot be written; what was at `path` is untouched.
    """
    with publishing_file(path, mode=mode) as file:
        file.write(data)


@contextmanager
def publishing_file(path: Path, *, mode: int = 0o600, replace: bool = True) -> Iterator[BinaryIO]:
    """A file to write to, which takes its place at `path` when the block ends without error.

    Raises:
        ConflictError: `path` exists and `replace` is false.
        StorageError: it cannot be written; what was at `path` is untouched.
    """
    with disk_failures(path), opened_directory(path.parent) as folder:
        sweep_prefix(folder, f".tmp-{path.name}.")
        temporary, descriptor = claimed(folder, path.name, lambda new: new_file(folder, new, mode))
        with open(descriptor, "wb", buffering=_BUFFER) as file:  # noqa: PTH123 - a descriptor
            try:
                _give_mode(descriptor, mode, path)
                yield file
                file.flush()
                os.fsync(descriptor)
                if replace:
                    os.rename(temporary, path.name, src_dir_fd=folder, dst_dir_fd=folder)
                else:
                    _rename_to_free_name(folder, temporary, path)
            except BaseException:
                with contextlib.suppress(OSError):  # the next publication sweeps it
                    os.unlink(temporary, dir_fd=folder)
                raise
        os.fsync(folder)


def _give_mode(descriptor: int, mode: int, path: Path) -> None:
    """Whatever the umask is."""
    if stat.S_IMODE(os.fstat(descriptor).st_mode) == mode:
        return
    try:
        os.fchmod(descriptor, mode)
    except OSError as error:
        raise StorageError(
            f"{path}: cannot be given the mode {mode:04o}: {error.strerror}"
        ) from error


def publish_directory(
    parent: Path, name: str, *, replace: bool = False
) -> AbstractContextManager[Path]:
    """A directory to fill, which becomes `parent/name` when the block ends without error.

    Write its files with `write_file` or `create_file`. With `replace`, what was there stays whole
    until the new directory is durable, and is then removed.

    Raises:
        ConflictError: `parent/name` exists and `replace` is false.
        StorageError: it cannot be written; what was at `parent/name` is untouched.
    """
    return _publishing_directory(parent, name, replace=replace)


@contextmanager
def _publishing_directory(parent: Path, name: str, *, replace: bool) -> Iterator[Path]:
    target = parent / name
    with disk_failures(target), opened_directory(parent) as folder:
        if not replace and _exists(folder, name):
            raise _taken(target)
        with _temporary_directory(folder, name) as temporary:
            try:
                yield parent / temporary
                sync_tree(parent / temporary)
                _take_name(folder, temporary, target, replace=replace)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True, dir_fd=folder)
                raise
        os.fsync(folder)
        shutil.rmtree(temporary, ignore_errors=True, dir_fd=folder)  # the one replaced, if any


def adopt_directory(parent: Path, filled: str, name: str) -> None:
    """Give the directory `parent/filled` the name `parent/name`, in place of what has it.

    Raises:
        StorageError: it cannot be done; what was at `parent/name` is untouched.
    """
    with disk_failures(parent / name), opened_directory(parent) as folder:
        sync_tree(parent / filled)
        _take_name(folder, filled, parent / name, replace=True)
        os.fsync(folder)
        shutil.rmtree(filled, ignore_errors=True, dir_fd=folder)  # the one replaced, if any


@contextmanager
def scratch_directory(parent: Path, name: str) -> Iterator[Path]:
    """A directory for the block alone; one that a killed process left is removed first.

    Raises:
        StorageError: it cannot be made.
    """
    with (
        disk_failures(parent / name),
        opened_directory(parent) as folder,
        _temporary_directory(folder, name) as temporary,
    ):
        try:
            yield parent / temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True, dir_fd=folder)


@contextmanager
def _temporary_directory(folder: int, name: str) -> Iterator[str]:
    """A new directory in `folder`, held by its maker: a sweep removes none that is held."""
    sweep_prefix(folder, f".tmp-{name}.")
    temporary, lock = claimed(folder, name, lambda new: new_directory(folder, new))
    try:
        yield temporary
    finally:
        os.close(lock)


@contextmanager
def create_file(path: Path, *, mode: int = 0o600) -> Iterator[BinaryIO]:
    """A new file to write to; its content is durable when the block ends without error.

    Raises:
        StorageError: the file exists already, or cannot be written.
    """
    with disk_failures(path):
        descriptor = os.open(path, os.O_WRONLY | NEW_FILE, mode)
        with open(descriptor, "wb", buffering=_BUFFER) as file:  # noqa: PTH123 - a descriptor
            yield file
            file.flush()
            os.fsync(descriptor)


@contextmanager
def continued_file(path: Path, *, at: int) -> Iterator[BinaryIO]:
    """The file `path`, made where it is not there, to write to from byte `at` on; what was behind
    that is gone, and what is written is durable when the block ends without error.

    Raises:
        StorageError: it cannot be written.
    """
    with disk_failures(path):
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(path, flags, 0o600), "r+b") as file:  # noqa: PTH123 - a descriptor
            os.ftruncate(file.fileno(), at)  # begun again after a signal, as the method is not
            file.seek(at)
            yield file
            file.flush()
            os.fsync(file.fileno())


def write_file(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """A new file with `data`, durable when this returns.

    Raises:
        StorageError: the file exists already, or cannot be written.
    """
    with create_file(path, mode=mode) as file:
        file.write(data)


def make_directories(path: Path) -> None:
    """Make `path` and its missing parents, durably.

    Raises:
        StorageError: one of them cannot be made.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        if folder.is_symlink():
            raise StorageError(f"{folder}: is a link that leads nowhere: make what it leads to")
        with disk_failures(folder):
            folder.mkdir(exist_ok=True)
            with opened_directory(folder.parent) as parent:
                os.fsync(parent)


def sweep(folder: Path, name: str = "") -> None:
    """Remove what killed publications left in `folder`; with `name`, those of that name alone.

    Raises:
        StorageError: the directory cannot be read.
    """
    with disk_failures(folder), opened_directory(folder) as descriptor:
        sweep_prefix(descriptor, f".tmp-{name}." if name else ".tmp-")


# -- names ---------------------------------------------------------------------------------------


def _taken(target: Path) -> ConflictError:
    return ConflictError(f"{target}: exists already, and is left as it is")


def _exists(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _take_name(folder: int, temporary: str, target: Path, *, replace: bool) -> None:
    """Give the directory `temporary` its name; with `replace` the two may change places."""
    if not (replace and _exists(folder, target.name)):
        _rename_to_free_name(folder, temporary, target)
        return
    if rename2(folder, temporary, target.name, RENAME_EXCHANGE):
        return
    # Here a crash between the two renames leaves the old one, whole, under a name with `.tmp-`:
    # only file systems without an atomic exchange have this gap.
    aside = temporary_name(target.name)
    os.rename(target.name, aside, src_dir_fd=folder, dst_dir_fd=folder)
    os.rename(temporary, target.name, src_dir_fd=folder, dst_dir_fd=folder)
    os.rename(aside, temporary, src_dir_fd=folder, dst_dir_fd=folder)


def _rename_to_free_name(folder: int, temporary: str, target: Path) -> None:
    try:
        done = rename2(folder, temporary, target.name, RENAME_NOREPLACE)
    except FileExistsError as error:
        raise _taken(target) from error
    if done:
        return
    if _exists(folder, target.name):
        raise _taken(target)
    os.rename(temporary, target.name, src_dir_fd=folder, dst_dir_fd=folder)

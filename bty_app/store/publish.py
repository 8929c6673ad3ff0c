"""Files and directories that appear under their name whole and durable, or not at all.

Work is done beside the destination under a `.tmp-` name that its maker holds locked; what a killed
maker left behind is recognised by the missing lock and swept by the next one.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import itertools
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

from bty_app.errors import BtyError, ConflictError, StorageError

_NEW_FILE = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_RENAME_NOREPLACE = 1  # linux/fs.h
_RENAME_EXCHANGE = 2
_NO_SUCH_RENAME = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM})
_DISK_FAILURES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG})
_BUFFER = 1024 * 1024

_serial = itertools.count(1)


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
    with _disk_failures(path), _opened_directory(path.parent) as folder:
        _sweep(folder, f".tmp-{path.name}.")
        temporary = _temporary_name(path.name)
        descriptor = os.open(temporary, os.O_RDWR | _NEW_FILE, mode, dir_fd=folder)
        with open(descriptor, "wb", buffering=_BUFFER) as file:  # noqa: PTH123 - a descriptor
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                os.fchmod(descriptor, mode)  # whatever the umask is
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
    with _disk_failures(target), _opened_directory(parent) as folder:
        if not replace and _exists(folder, name):
            raise _taken(target)
        with _temporary_directory(folder, name) as temporary:
            try:
                yield parent / temporary
                _sync_tree(parent / temporary)
                _take_name(folder, temporary, target, replace=replace)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True, dir_fd=folder)
                raise
        os.fsync(folder)
        shutil.rmtree(temporary, ignore_errors=True, dir_fd=folder)  # the one replaced, if any


@contextmanager
def scratch_directory(parent: Path, name: str) -> Iterator[Path]:
    """A directory for the block alone; one that a killed process left is removed first.

    Raises:
        StorageError: it cannot be made.
    """
    with (
        _disk_failures(parent / name),
        _opened_directory(parent) as folder,
        _temporary_directory(folder, name) as temporary,
    ):
        try:
            yield parent / temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True, dir_fd=folder)


@contextmanager
def _temporary_directory(folder: int, name: str) -> Iterator[str]:
    """A new directory in `folder`, held by its maker: a sweep removes none that is held."""
    _sweep(folder, f".tmp-{name}.")
    temporary = _temporary_name(name)
    os.mkdir(temporary, 0o700, dir_fd=folder)
    lock = os.open(temporary, _DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield temporary
    finally:
        os.close(lock)


@contextmanager
def create_file(path: Path, *, mode: int = 0o600) -> Iterator[BinaryIO]:
    """A new file to write to; its content is durable when the block ends without error.

    Raises:
        StorageError: the file exists already, or cannot be written.
    """
    with _disk_failures(path):
        descriptor = os.open(path, os.O_WRONLY | _NEW_FILE, mode)
        with open(descriptor, "wb", buffering=_BUFFER) as file:  # noqa: PTH123 - a descriptor
            yield file
            file.flush()
            os.fsync(descriptor)


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
        with _disk_failures(folder):
            folder.mkdir(exist_ok=True)
            with _opened_directory(folder.parent) as parent:
                os.fsync(parent)


def sweep(folder: Path) -> None:
    """Remove what killed publications left in `folder`.

    Raises:
        StorageError: the directory cannot be read.
    """
    with _disk_failures(folder), _opened_directory(folder) as descriptor:
        _sweep(descriptor, ".tmp-")


# -- names ---------------------------------------------------------------------------------------


def _temporary_name(name: str) -> str:
    return f".tmp-{name}.{os.getpid()}-{next(_serial)}"


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
    if _rename2(folder, temporary, target.name, _RENAME_EXCHANGE):
        return
    # Here a crash between the two renames leaves the old one, whole, under a name with `.tmp-`:
    # only file systems without an atomic exchange have this gap.
    aside = _temporary_name(target.name)
    os.rename(target.name, aside, src_dir_fd=folder, dst_dir_fd=folder)
    os.rename(temporary, target.name, src_dir_fd=folder, dst_dir_fd=folder)
    os.rename(aside, temporary, src_dir_fd=folder, dst_dir_fd=folder)


def _rename_to_free_name(folder: int, temporary: str, target: Path) -> None:
    try:
        done = _rename2(folder, temporary, target.name, _RENAME_NOREPLACE)
    except FileExistsError as error:
        raise _taken(target) from error
    if done:
        return
    if _exists(folder, target.name):
        raise _taken(target)
    os.rename(temporary, target.name, src_dir_fd=folder, dst_dir_fd=folder)


def _rename2(folder: int, source: str, target: str, flags: int) -> bool:
    """renameat2(2): False where the C library or the file system does not know it."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        return False
    if function(folder, os.fsencode(source), folder, os.fsencode(target), flags) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NO_SUCH_RENAME:
        return False
    raise OSError(number, os.strerror(number), target)


# -- the disk ------------------------------------------------------------------------------------


@contextmanager
def _opened_directory(path: Path) -> Iterator[int]:
    descriptor = os.open(path, _DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _sync_tree(root: Path) -> None:
    """fsync every file and directory under `root`, and `root` itself, from the leaves up."""
    for folder, _folders, files, descriptor in os.fwalk(root, topdown=False):
        for name in files:
            _sync_file(name, folder=descriptor)
        _sync_file(folder, folder=None)


def _sync_file(name: str, *, folder: int | None) -> None:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(name, flags, dir_fd=folder)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(folder: int, prefix: str) -> None:
    for name in os.listdir(folder):
        if name.startswith(prefix):
            _remove_if_abandoned(folder, name)


def _remove_if_abandoned(folder: int, name: str) -> None:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with contextlib.suppress(OSError):  # gone, locked by its maker, or not ours: leave it
        descriptor = os.open(name, flags, dir_fd=folder)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                shutil.rmtree(name, dir_fd=folder)
            else:
                os.unlink(name, dir_fd=folder)
        finally:
            os.close(descriptor)


@contextmanager
def _disk_failures(path: Path) -> Iterator[None]:
    """Say disk errors of the block as a sentence about `path`; let other errors pass."""
    try:
        yield
    except BtyError:
        raise
    except OSError as error:
        if error.errno in _DISK_FAILURES or error.filename is not None:
            named = error.filename is not None and str(error.filename) not in (str(path), path.name)
            about = f" ({error.filename})" if named else ""
            raise StorageError(f"{path}: cannot be written: {error.strerror}{about}") from error
        raise

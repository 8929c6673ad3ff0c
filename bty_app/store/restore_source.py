"""A database that is to be put back: copied to a place of our own, and looked at there."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote

import apsw

from bty_app.domain.mac import parse_mac
from bty_app.domain.machine import parse_assignment
from bty_app.errors import BtyError, InvalidInputError, NotFoundError, StorageError
from bty_app.store import creation, hardware, machines, publish, sqlite
from bty_app.store.database import Tx
from bty_app.store.directories import disk_failures
from bty_app.store.place import free_bytes, size_of

MAX_BYTES = 64 * 1024**3
SCRATCH = "restore"
_LOGS = ("-wal", "-journal")
# A database that it has looked after has these, and so has each copy of it (seen with 0.5.17).
_LITESTREAM = tuple(
    ("table", name, name, f"CREATE TABLE {name} ({columns})")
    for name, columns in (
        ("_litestream_lock", "id INTEGER"),
        ("_litestream_seq", "id INTEGER PRIMARY KEY, seq INTEGER"),
    )
)
_HEADER = b"SQLite format 3\0"
_CHUNK = 1024 * 1024
_ROOM = 16 * 1024 * 1024  # for the log of the transaction, at the least


@dataclass(frozen=True, slots=True)
class Staged:
    """A copy that nobody else writes to, and the SHA-256 of what was copied."""

    path: Path
    sha256: str


@contextmanager
def staged(state_dir: Path, source: Path, *, damaged: bool = False) -> Iterator[Staged]:
    """Copy the database file `source` below `state_dir` for the block. One that may be `damaged` is
    copied with its logs, and whatever its first bytes are.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: it is no database, or no plain file.
        StorageError: it cannot be read, or is not whole without its log; or there is no room.
    """
    with _opened(source) as descriptor:
        _check_file(source, descriptor, state_dir, damaged=damaged)
        with publish.scratch_directory(state_dir, SCRATCH) as scratch:
            path = scratch / "source.db"
            digest = _copied(source, descriptor, path)
            for suffix in _LOGS if damaged else ():
                log = creation.sidecar(source, suffix)
                if size_of(log):
                    with _opened(log) as log_descriptor:
                        _copied(log, log_descriptor, creation.sidecar(path, suffix))
            yield Staged(path, digest)


def _copied(source: Path, descriptor: int, path: Path) -> str:
    digest = hashlib.sha256()
    with publish.create_file(path) as file:
        while chunk := _read(source, descriptor):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def attach(connection: apsw.Connection, path: Path) -> None:
    """Let `connection`, which takes URIs, see the copy at `path` as the schema `backup`.

    Raises:
        apsw.Error: it cannot be read.
    """
    connection.execute("ATTACH ? AS backup", (f"file:{quote(str(path))}?immutable=1",))


def check_rows(path: Path) -> None:
    """Read the copy as the server would: the same tables, and machines that can be ours.

    Raises:
        InvalidInputError: it has other tables, or a row that nobody here could have written.
        StorageError: it cannot be read.
    """
    with hardware.opened_archive(path) as connection:
        if _schema(connection) != _own_schema():
            raise InvalidInputError("its tables are not those that this release makes")
        tx = Tx(connection)
        labels = _labels(tx)
        label = next(labels, None)
        for row in tx.rows(f"SELECT {machines.COLUMNS} FROM machines ORDER BY mac"):
            found = []
            while label and label[0] == row[0]:
                found.append(label[1])
                label = next(labels, None)
            _check_machine(row, found)


def _check_machine(row: tuple[object, ...], labels: list[str]) -> None:
    named = repr(row[0])[:40]
    try:
        machine = machines.machine_of(row)
        fields = {
            "boot_mode": machine.boot_mode.value,
            "bty_image_ref": machine.image_ref,
            "target_disk_serial": machine.target_disk_serial,
            "sanboot_drive": machine.sanboot_drive,
            "labels": labels,
            "flash_wipe": machine.own.wipe,
            "flash_verify": machine.own.verify,
            "flash_done": machine.own.done,
        }
        if parse_mac(machine.mac) != machine.mac:
            raise InvalidInputError("is spelled in another way")
        parse_assignment(fields)
    except (BtyError, ValueError, TypeError) as error:
        raise InvalidInputError(
            f"the machine {named} cannot be ours: {str(error)[:120]}"
        ) from error


def _labels(tx: Tx) -> Iterator[tuple[str, str]]:
    for row in tx.rows("SELECT mac, label FROM machine_labels ORDER BY mac, label"):
        yield row[0], row[1]


def _schema(connection: apsw.Connection) -> list[tuple[object, ...]]:
    """All that can act when a database is read or written, but what SQLite and Litestream keep in
    it for themselves.
    """
    sql = (
        "SELECT type, name, tbl_name, sql FROM sqlite_schema"
        " WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY type, name"
    )
    return [row for row in connection.execute(sql) if row not in _LITESTREAM]


@cache
def _own_schema() -> list[tuple[object, ...]]:
    connection = apsw.Connection(":memory:")
    connection.execute(creation.schema())
    found = _schema(connection)
    connection.close()
    return found


@contextmanager
def _opened(source: Path) -> Iterator[int]:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(source, flags)
    except FileNotFoundError as error:
        raise NotFoundError(f"{source}: there is no such file") from error
    except OSError as error:
        if source.is_symlink():
            raise InvalidInputError(
                f"{source}: is a link: name the file that it leads to"
            ) from error
        raise StorageError(f"{source}: cannot be read: {error.strerror}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _check_file(source: Path, descriptor: int, state_dir: Path, *, damaged: bool) -> None:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise InvalidInputError(f"{source}: is not a file")
    if status.st_size > MAX_BYTES:
        raise InvalidInputError(f"{source}: is larger than any database of bty")
    with disk_failures(source):
        begins = os.pread(descriptor, len(_HEADER), 0)
    if begins != _HEADER and not damaged:
        raise InvalidInputError(f"{source}: this is not an SQLite database")
    for suffix in () if damaged else _LOGS:
        beside = creation.sidecar(source, suffix)
        if size_of(beside):
            raise StorageError(f"{source}: is not whole without {beside.name}, which belongs to it")
    with disk_failures(state_dir):
        free = free_bytes(state_dir)
    if free < status.st_size + _ROOM:
        raise StorageError(
            f"the disk under {state_dir} has {free // 2**20} MiB free, and a copy of {source.name}"
            f" needs {status.st_size // 2**20 + 16} MiB: nothing was changed"
        )


def _read(source: Path, descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _CHUNK)
    except OSError as error:
        raise StorageError(f"{source}: cannot be read: {error.strerror}") from error


def uri_connection(path: Path) -> apsw.Connection:
    """A connection to the live database at `path` that can attach a copy.

    Raises:
        apsw.Error: it cannot be opened.
    """
    return sqlite.connect(path, flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_URI)

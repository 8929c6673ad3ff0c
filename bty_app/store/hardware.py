"""Hardware records, read from a database of any version, ours or the original's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import apsw

from bty_app.domain import bundle, json_bounds
from bty_app.domain.bundle import HardwareRecord, PrettyRecord, Rejected
from bty_app.domain.mac import Mac, parse_mac
from bty_app.errors import InvalidInputError, NotFoundError, StorageError
from bty_app.store import file_header, sqlite, version

Connection = apsw.Connection

_COLUMNS = ("known_disks", "known_disks_at", "hw_lshw", "hw_lshw_at")
_SIDECARS = ("-wal", "-shm", "-journal")
# Up to this size SQLite indents a column: even nested 1,000 deep it stays under 70 MB.
_QUICK_BYTES = 65_536


@contextmanager
def opened(state_db: Path) -> Iterator[Connection]:
    """A connection for reading to a live database of any version, its own writer beside it.

    A hot journal is rolled back, as any reader must; nothing else is written.

    Raises:
        NotFoundError: there is no such file.
        StorageError: it cannot be read; or an SQLite error of the block.
    """
    if not state_db.exists():
        raise NotFoundError(f"{state_db}: there is no database here")
    log = state_db.with_name(state_db.name + "-wal")
    has_log = log.exists() and log.stat().st_size > 0
    try:
        connection = _connected(state_db)
        try:
            # A log that a killed server left is the next start's to replay; an empty one that
            # this connection makes goes when it closes.
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, int(has_log))
            connection.pragma("query_only", 1)
            yield connection
        finally:
            connection.close()
    except apsw.Error as error:
        raise unreadable(state_db, error) from error


def damage_of(state_db: Path) -> str:
    """What is wrong with a database, read whole beside whoever has it open; empty where nothing is.

    Raises:
        StorageError: the disk does not let it be read.
    """
    if not file_header.could_be_database(state_db):
        return f"{state_db.name} is not a database"
    try:
        with opened(state_db) as connection:
            found = " ".join(str(connection.pragma("quick_check")).split())
    except StorageError as error:
        if isinstance(error.__cause__, apsw.NotADBError | apsw.CorruptError | apsw.FormatError):
            return error.message
        raise
    return "" if found == "ok" else f"{state_db.name} is damaged ({found[:120]})"


def _connected(state_db: Path) -> Connection:
    # For writing, so that SQLite can make the -shm file and roll back a hot journal.
    connection = sqlite.connect(state_db, flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        sqlite.adapt(connection)
    except (apsw.CantOpenError, apsw.ReadOnlyError):
        connection.close()
        if any(state_db.with_name(state_db.name + suffix).exists() for suffix in _SIDECARS):
            raise
        # On a read-only medium, in write-ahead mode, and nobody has it open.
        return _immutable(state_db)
    except apsw.Error:
        connection.close()
        raise
    return connection


def _immutable(path: Path) -> Connection:
    name = quote(str(path.resolve()))
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    return sqlite.connect(Path(f"file:{name}?immutable=1"), flags=flags)


@contextmanager
def opened_archive(path: Path) -> Iterator[Connection]:
    """A connection for reading to a database that nobody writes to, also on a read-only medium.

    Raises:
        NotFoundError: there is no such file.
        StorageError: it cannot be read, or its log was left beside it; or an SQLite error of the
            block.
    """
    if not path.exists():
        raise NotFoundError(f"{path}: there is no such file")
    for suffix in ("-wal", "-journal"):
        beside = path.with_name(path.name + suffix)
        if beside.exists() and beside.stat().st_size:
            # Only a writer may finish what the log holds, and without it this is an older state.
            raise StorageError(f"{path}: is not whole without {beside.name}, which belongs to it")
    try:
        connection = _immutable(path)  # in write-ahead mode it would ask for a -shm file
        try:
            yield connection
        finally:
            connection.close()
    except apsw.Error as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: apsw.Error) -> StorageError:
    """What it means that `path` cannot be read."""
    if isinstance(error, apsw.NotADBError):
        return StorageError(f"{path}: this is not an SQLite database")
    translated = sqlite.translated(error)
    return StorageError(f"{path}: {translated.message}")


@contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """One consistent view for all reads of the block; a transaction that is open serves."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()  # pins it
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


class Reader:
    """The machines of one snapshot. Make it inside `snapshot(connection)`."""

    def __init__(self, connection: Connection) -> None:
        """Look at the schema and list the machines; their records are read one by one later."""
        self._connection = connection
        self.version = version.stored_version(connection) or "an empty database"
        # Our own writers store what `json.dumps` gives, and STRICT tables hold text.
        self._is_ours = connection.pragma("application_id") == sqlite.APPLICATION_ID
        present = columns(connection, "machines")
        self._selected = {name: name if name in present else "NULL" for name in _COLUMNS}
        self.instance_id = _instance_id(connection)
        self.skipped: list[str] = []
        self.has_machines = "mac" in present
        self._spellings = self._machines() if self.has_machines else {}

    def __len__(self) -> int:
        return len(self._spellings)

    def exported(self) -> Iterator[PrettyRecord]:
        """Every machine as a bundle has it, sorted by MAC; what a bundle cannot hold is null."""
        quick = (
            "CASE WHEN typeof({0}) = 'text' AND octet_length({0}) <= {1}"
            " AND json_valid({0}) THEN json_pretty({0}, '  ') END"
        )
        disks, disks_at, lshw, lshw_at = self._selected.values()
        sql = (
            f"SELECT {disks}, {quick.format(disks, _QUICK_BYTES)}, {disks_at},"
            f" {lshw}, {quick.format(lshw, _QUICK_BYTES)}, {lshw_at} FROM machines WHERE mac = ?"
        )
        for mac in sorted(self._spellings):
            for row in self._connection.execute(sql, (self._spellings[mac],)):
                yield PrettyRecord(
                    mac=mac,
                    known_disks=_objects(self._pretty(row[0], row[1], bundle.MAX_DISKS_TEXT)),
                    known_disks_at=_moment(row[2]),
                    hw_lshw=_container(self._pretty(row[3], row[4], bundle.MAX_LSHW_TEXT)),
                    hw_lshw_at=_moment(row[5]),
                )

    def records(self) -> Iterator[HardwareRecord | Rejected]:
        """Every machine as our own database stores it, checked as an import checks it."""
        sql = f"SELECT {', '.join(self._selected.values())} FROM machines WHERE mac = ?"
        for position, mac in enumerate(sorted(self._spellings), 1):
            for row in self._connection.execute(sql, (self._spellings[mac],)):
                values = {name: row[index] for index, name in enumerate(_COLUMNS)}
                for name in ("known_disks", "hw_lshw"):
                    values[name] = _value(values[name])
                for name in ("known_disks_at", "hw_lshw_at"):
                    values[name] = _moment(values[name])
                yield bundle.parse_machine(position, {"mac": mac, **values})

    def _machines(self) -> dict[Mac, object]:
        """Each canonical MAC with the spelling under which its row is found."""
        found: dict[Mac, object] = {}
        for (spelling,) in self._connection.execute("SELECT mac FROM machines"):
            try:
                mac = parse_mac(spelling if isinstance(spelling, str) else repr(spelling))
            except InvalidInputError as error:
                self.skipped.append(error.message)
                continue
            if mac in found:
                self.skipped.append(f"{mac}: stands here twice")
            if mac not in found or spelling == mac:
                found[mac] = spelling
        return found

    def _pretty(self, stored: object, quick: object, limit: int) -> str | None:
        if not isinstance(stored, str):
            return None
        if (
            isinstance(quick, str)
            and len(quick) <= limit // 2
            and stored.isascii()
            and (self._is_ours or bundle.is_as_dumped(stored))
        ):
            return quick
        return bundle.pretty(stored, limit=limit)


def columns(connection: Connection, table: str) -> set[str]:
    """The columns of a table; none for a view, which could run whatever its author wrote."""
    if not version.has_table(connection, table):
        return set()
    return {str(row[1]) for row in connection.execute(f"PRAGMA table_info({table})")}


def _instance_id(connection: Connection) -> str | None:
    """Which installation this is; databases of the original do not know."""
    if not version.has_table(connection, "bty_instance"):
        return None
    sql = "SELECT value FROM bty_instance WHERE key = 'instance_id'"
    found = connection.execute(sql).fetchone()
    return str(found[0]) if found else None


def _container(pretty: str | None) -> str | None:
    """An lshw tree is an object or an array."""
    return pretty if pretty and pretty[0] in "[{" else None


def _objects(pretty: str | None) -> str | None:
    """A disk list is an array of objects."""
    if pretty is None:
        return None
    value = json.loads(pretty)
    whole = isinstance(value, list) and all(isinstance(disk, dict) for disk in value)
    return pretty if whole else None


def _moment(stored: object) -> str | None:
    """A stored time as it is spelled there, if it is one."""
    try:
        bundle.moment(stored, "time")
    except InvalidInputError:
        return None
    return stored if isinstance(stored, str) else None


def _value(stored: object) -> object:
    """A stored JSON text as a value; malformed text is None."""
    if not isinstance(stored, str):
        return None
    try:
        return json_bounds.decode(stored)
    except InvalidInputError:
        return None

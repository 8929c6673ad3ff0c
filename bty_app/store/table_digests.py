"""What all rows of a table are, as one SHA-256: the same in a database and in a true copy of it.

SQLite itself writes each row as bytes, in the order in which it stores the rows, so that no table
is ever in memory: reading it cell by cell in Python takes five times as long.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator

import apsw

from bty_app.store.hardware import Connection

MOST_TABLES = 200  # a stranger's database may have thousands
# Virtual tables have no page of their own, and reading one may run whatever its author wrote.
TABLES = (
    "SELECT name FROM {schema}.sqlite_schema WHERE type = 'table' AND rootpage > 0"
    " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
)
_LONGEST_NAME = 64
# The small ones first, and behind them what is missed least where time ends.
_LARGE = ("machines", "hardware_history", "boot_stages", "events")
_TOLD_BYTES = 1024 * 1024
_ROW_IDS = ("rowid", "_rowid_", "oid")


def tables(connection: Connection) -> list[str]:
    """The names of the tables that hold rows, without those of SQLite itself.

    Raises:
        apsw.Error: they cannot be read.
    """
    return [str(name) for (name,) in connection.execute(TABLES.format(schema="main"))]


def of_tables(connection: Connection, go_on: Callable[[int], bool]) -> dict[str, str]:
    """The digest of each table; of none that cannot be read in an order of its own.

    Args:
        connection: inside one view.
        go_on: asked about once in a MiB, told how many bytes were read; after a False there is no
            more.

    Raises:
        apsw.Error: they cannot be read.
    """
    known = [name for name in tables(connection) if len(name) <= _LONGEST_NAME][:MOST_TABLES]
    digests: dict[str, str] = {}
    read = 0
    for table in sorted(known, key=lambda name: _LARGE.index(name) if name in _LARGE else -1):
        digest = hashlib.sha256()
        try:
            for chunk in _chunks(connection, table):
                digest.update(chunk)
                read += len(chunk)
                if not go_on(read):
                    return digests
        except (apsw.SQLError, apsw.TooBigError):  # a stranger's: an order or a row of its own kind
            continue
        digests[table] = digest.hexdigest()
    return digests


def of_table(connection: Connection, table: str) -> str | None:
    """The digest of one table; None where there is none of this name.

    Raises:
        apsw.Error: it cannot be read.
    """
    if table not in tables(connection):
        return None
    digest = hashlib.sha256()
    for chunk in _chunks(connection, table):
        digest.update(chunk)
    return digest.hexdigest()


def _chunks(connection: Connection, table: str) -> Iterator[bytes]:
    """The name, the columns, and each row; joined, since a call for each row costs as much as it.

    Raises:
        apsw.Error: it cannot be read.
    """
    sql = "SELECT name, pk FROM pragma_table_info(?, 'main')"
    columns = {str(name): int(str(pk)) for name, pk in connection.execute(sql, (table,))}
    row = " || ".join(_cell(_quoted(name)) for name in columns)
    # The rows themselves, and not the copies of them that are in an index.
    rows = connection.execute(
        f"SELECT CAST({row} AS BLOB) FROM main.{_quoted(table)} NOT INDEXED"
        f" ORDER BY {_order(connection, table, columns)}"
    )
    parts, size = [json.dumps([table, *columns]).encode()], 0
    for (content,) in rows:
        data = bytes(content)
        parts.append(data)
        size += len(data)
        if size >= _TOLD_BYTES:
            yield b"".join(parts)
            parts, size = [], 0
    yield b"".join(parts)


def _order(connection: Connection, table: str, columns: dict[str, int]) -> str:
    """SQL for the order in which SQLite stores the rows: by row id, or else by primary key.

    Raises:
        apsw.SQLError: columns have taken all names of the row id.
    """
    taken = {name.lower() for name in columns}
    row_id = next((name for name in _ROW_IDS if name not in taken), None)
    if row_id is None:
        raise apsw.SQLError(f"{table}: its row ids cannot be asked for")
    try:
        connection.execute(f"SELECT {row_id} FROM main.{_quoted(table)} LIMIT 0")
    except apsw.SQLError:  # WITHOUT ROWID
        keys = sorted((pk, name) for name, pk in columns.items() if pk)
        return ", ".join(_quoted(name) for _pk, name in keys)
    return row_id


def _cell(name: str) -> str:
    """Its type and, where it has no end of its own, its length: 1, '1', x'31' and NULL differ, and
    no two rows are the same bytes.
    """
    return (
        f"CASE typeof({name}) WHEN 'null' THEN 'n' WHEN 'integer' THEN 'i' || {name} || ','"
        f" WHEN 'real' THEN 'r' || quote({name}) || ','"
        f" WHEN 'text' THEN 't' || octet_length({name}) || ',' || {name}"
        f" ELSE 'b' || octet_length({name}) || ',' || {name} END"
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'

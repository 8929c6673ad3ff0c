"""Is a database whole? Everything that can be asked of it without changing it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import apsw

from bty_app.domain.rotation import UNKNOWN
from bty_app.store import events, hardware, sqlite, version
from bty_app.store.database import Tx
from bty_app.store.hardware import Connection

_MOST = 20  # sentences of one kind: a broken page makes thousands
_JSON_COLUMNS = (
    ("machines", "mac", "known_disks"),
    ("machines", "mac", "hw_lshw"),
    ("events", "id", "details"),
)


@dataclass(frozen=True, slots=True)
class Examined:
    """What a database is, and each thing that is wrong with it as a sentence."""

    version: str
    machines: int
    events: int
    problems: tuple[str, ...]


def examine(connection: Connection, *, expected_version: str | None = None) -> Examined:
    """Look at all of a database of any version, in one snapshot.

    Raises:
        apsw.Error: it is so damaged that nothing can be read.
    """
    with hardware.snapshot(connection):
        found = version.stored_version(connection)
        is_ours = connection.pragma("application_id") == sqlite.APPLICATION_ID
        problems = [
            *_pages(connection),
            *_references(connection),
            *_identity(connection, found, expected_version),
            *_columns(connection, is_ours=is_ours),
            *_chain(connection),
        ]
        return Examined(
            version=found or "none",
            machines=_count(connection, "machines"),
            events=_count(connection, "events"),
            problems=tuple(problems),
        )


def _pages(connection: Connection) -> Iterator[str]:
    for (text,) in connection.execute(f"PRAGMA integrity_check({_MOST})"):
        if text != "ok":
            yield f"the file is damaged: {' '.join(str(text).split())}"


def _references(connection: Connection) -> Iterator[str]:
    for number, row in enumerate(connection.execute("PRAGMA foreign_key_check")):
        if number == _MOST:
            yield "more rows refer to rows that are missing"
            return
        yield f"a row of {row[0]} refers to a row of {row[2]} that is missing"


def _identity(
    connection: Connection, found: str | None, expected_version: str | None
) -> Iterator[str]:
    number = connection.pragma("application_id")
    if number not in (0, sqlite.APPLICATION_ID):
        yield f"this is another program's database (application id {number:#x})"
    if found is None:
        yield "the database is empty: it holds no table"
    elif not version.has_table(connection, "machines"):
        yield "the table machines is missing"
    if found == UNKNOWN:
        yield "the mark of the release that wrote it cannot be read"
    if number == sqlite.APPLICATION_ID:
        schema = connection.pragma("user_version")
        if found == expected_version and schema != sqlite.SCHEMA_NUMBER:
            yield f"the schema has the number {schema}, and {sqlite.SCHEMA_NUMBER} is expected"


def _columns(connection: Connection, *, is_ours: bool) -> Iterator[str]:
    for table, key, column in _JSON_COLUMNS:
        if column in hardware.columns(connection, table):
            yield from _not_json(connection, table, key, column, tolerant=not is_ours)


def _not_json(
    connection: Connection, table: str, key: str, column: str, *, tolerant: bool
) -> Iterator[str]:
    sql = (
        f"SELECT {key}, {column} FROM {table} WHERE {column} IS NOT NULL AND"
        f" (typeof({column}) <> 'text' OR NOT json_valid({column}))"
    )
    said = 0
    for name, text in connection.execute(sql):
        if tolerant and _decodes(text):
            continue
        said += 1
        if said > _MOST:
            yield f"{table}.{column}: more rows do not decode as JSON"
            return
        yield f"{table}.{column} of {name} does not decode as JSON"


def _decodes(text: object) -> bool:
    """As Python reads it: the original stores NaN."""
    try:
        json.loads(text if isinstance(text, str) else "")
    except (ValueError, RecursionError):
        return False
    return True


def _chain(connection: Connection) -> Iterator[str]:
    if "chain" not in hardware.columns(connection, "events") or not version.has_table(
        connection, "bty_instance"
    ):
        return
    try:
        broken = events.broken_at(Tx(connection))
    except (TypeError, ValueError) as error:
        yield f"the audit log cannot be followed: {error}"
        return
    if broken is not None:
        yield f"the audit log was changed: event {broken} does not follow from the one before"


def _count(connection: Connection, table: str) -> int:
    if not version.has_table(connection, table):
        return 0
    try:
        found = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    except apsw.CorruptError:
        return 0
    return int(str(found[0])) if found else 0

"""Rows of a database of any release, column by column: what is there, as text, and bounded."""

from __future__ import annotations

from collections.abc import Iterable

import apsw

from bty_app.store.version import has_table

Value = str | int | float | bytes | None


def columns(connection: apsw.Connection, table: str) -> set[str]:
    """The columns of a table, in lower case; none for a view.

    Raises:
        apsw.Error: it cannot be read.
    """
    if not has_table(connection, table):
        return set()
    found = connection.execute("SELECT name FROM pragma_table_xinfo(?)", (table,))
    return {str(name).lower() for (name,) in found}


def bytes_of(name: str, longest: int) -> str:
    """SQL for a text column as bytes: text of a stranger need not be UTF-8."""
    return (
        f"CASE WHEN typeof({name}) = 'text' AND octet_length({name}) <= {longest}"
        f" THEN CAST({name} AS BLOB) END"
    )


def number_of(name: str) -> str:
    """SQL for a column of whole numbers; anything else is NULL."""
    return f"CASE WHEN typeof({name}) = 'integer' THEN {name} END"


def text(content: object) -> str | None:
    """What `bytes_of` gave, where it is text that can be kept."""
    if not isinstance(content, bytes):
        return None
    try:
        found = content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in found else found


def selected(present: Iterable[str], wanted: dict[str, int]) -> str:
    """SQL for the `wanted` columns (0: a number; else the longest text), NULL for a missing one."""
    known = set(present)
    return ", ".join(
        "NULL" if name not in known else bytes_of(name, longest) if longest else number_of(name)
        for name, longest in wanted.items()
    )

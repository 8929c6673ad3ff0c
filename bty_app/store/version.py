"""Which release wrote a database, asked of a file that may be anybody's."""

from __future__ import annotations

import apsw

from bty_app.domain.rotation import UNKNOWN, Stamp, sane_version

PRE_VERSIONING = "pre-versioning"  # data tables, but no marker: CONTRACT 6
_READ_AT_MOST = 200


def has_table(connection: apsw.Connection, name: str) -> bool:
    """Is there a table of this name? A view is none: it could run whatever its author wrote."""
    sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?"
    return connection.execute(sql, (name,)).fetchone() is not None


def stored_version(connection: apsw.Connection) -> str | None:
    """The release that wrote this database; None for one without any table.

    Raises:
        apsw.Error: the file is not a database, or damaged.
    """
    tables = connection.execute("SELECT count(*) FROM sqlite_schema WHERE type = 'table'")
    if not tables.fetchall()[0][0]:
        return None
    if not has_table(connection, "bty_version"):
        return PRE_VERSIONING
    try:
        found = connection.execute(
            "SELECT typeof(version), substr(CAST(version AS BLOB), 1, ?) FROM bty_version LIMIT 2",
            (_READ_AT_MOST,),
        ).fetchall()
    except apsw.SQLError:  # a table of that name without that column
        return UNKNOWN
    if not found:
        return PRE_VERSIONING
    kind, content = found[0]
    if len(found) > 1 or kind != "text" or not isinstance(content, bytes):
        return UNKNOWN
    return sane_version(content.decode("utf-8", "replace"))


def stamp(connection: apsw.Connection) -> Stamp:
    """All that a database says of itself.

    Raises:
        apsw.Error: the file is not a database, or damaged.
    """
    return Stamp(
        version=stored_version(connection),
        application_id=int(str(connection.pragma("application_id"))),
        schema_number=int(str(connection.pragma("user_version"))),
    )

"""A change by a command, beside whoever has the database open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from bty_app.errors import StorageError
from bty_app.store import sqlite
from bty_app.store.acting import acting
from bty_app.store.database import Tx


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[Tx]:
    """One transaction, committed at the end; nothing of it stays when the block fails.

    Raises:
        apsw.Error: it could not begin, or could not be made durable.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield Tx(connection, token=acting())
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


@contextmanager
def settling(path: Path) -> Iterator[Tx]:
    """One transaction on a database that is open nowhere else; the file is whole without a log or
    journal when this returns, so that it can be renamed alone.

    Closing a database in write-ahead mode hides a failed checkpoint: that mode is left first.

    Raises:
        StorageError: it could not be made durable; the next call goes on from what is there.
    """
    try:
        connection = sqlite.connect(path, flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.pragma("synchronous", 3)  # EXTRA
            if connection.pragma("journal_mode", "delete") != "delete":
                raise StorageError(f"{path}: another program has it open, or its log cannot go")
            with transaction(connection) as tx:
                yield tx
        finally:
            connection.close()
    except apsw.Error as error:
        raise sqlite.translated(error) from error

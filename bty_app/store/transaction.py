"""A change by a command, beside whoever has the database open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from bty_app.store.database import Tx


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[Tx]:
    """One transaction, committed at the end; nothing of it stays when the block fails.

    Raises:
        apsw.Error: it could not begin, or could not be made durable.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield Tx(connection)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")

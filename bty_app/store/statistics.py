"""What SQLite knows of the sizes of tables, by which it chooses indexes."""

from __future__ import annotations

from bty_app.store.database import Tx


def renew(tx: Tx) -> None:
    """Look at the tables that have changed much, a bounded part of each
    (sqlite.org/pragma.html#pragma_optimize).
    """
    tx.run("PRAGMA optimize")

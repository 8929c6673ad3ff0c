"""What this database says of itself: its id, where its audit chain begins, when it was probed."""

from __future__ import annotations

from bty_app.store.database import Tx


def get(tx: Tx, key: str) -> str | None:
    """One value, or None."""
    found = tx.value("SELECT value FROM bty_instance WHERE key = ?", key)
    return None if found is None else str(found)


def put(tx: Tx, key: str, value: str) -> None:
    """Store one value."""
    tx.run(
        "INSERT INTO bty_instance (key, value) VALUES (?, ?)"
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        key,
        value,
    )


def remove(tx: Tx, key: str) -> None:
    """Forget one value."""
    tx.run("DELETE FROM bty_instance WHERE key = ?", key)

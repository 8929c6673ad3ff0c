"""Operator settings, as text under their keys."""

from __future__ import annotations

from bty_app.store.database import Tx


def every(tx: Tx) -> dict[str, str]:
    """All stored settings."""
    return {row[0]: row[1] for row in tx.rows("SELECT key, value FROM settings")}


def put(tx: Tx, key: str, value: str, *, at: str) -> None:
    """Store one value."""
    tx.run(
        "INSERT INTO settings (key, value, updated_at) VALUES (?, ?, ?)"
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
        *(key, value, at),
    )
    tx.touch("settings")


def remove(tx: Tx, key: str) -> None:
    """Go back to the default."""
    tx.run("DELETE FROM settings WHERE key = ?", key)
    tx.touch("settings")

"""Orders to flash: since when, until when, which rule holds them back; and what began lately."""

from __future__ import annotations

from dataclasses import dataclass

from bty_app.domain.mac import Mac
from bty_app.store.database import Tx


@dataclass(frozen=True, slots=True)
class Order:
    """An order. Moments are text, as they are stored."""

    armed_at: str
    expires_at: str | None
    held_by: str | None
    held_until: str | None


def get(tx: Tx, mac: Mac) -> Order | None:
    """The machine's order, or None."""
    row = tx.row(
        "SELECT armed_at, expires_at, held_by, held_until FROM machine_orders WHERE mac = ?", mac
    )
    return Order(*row) if row else None


def expire(tx: Tx, mac: Mac, *, at: str) -> None:
    """It counts until `at`."""
    tx.run("UPDATE machine_orders SET expires_at = ? WHERE mac = ?", at, mac)


def hold(tx: Tx, mac: Mac, rule: str | None, until: str | None, *, at: str) -> None:
    """A rule holds it back, or none does any more."""
    tx.run(
        "INSERT INTO machine_orders (mac, armed_at, held_by, held_until) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (mac) DO UPDATE SET held_by = excluded.held_by,"
        " held_until = excluded.held_until",
        *(mac, at, rule, until),
    )
    tx.touch("machines")


def began_since(tx: Tx, since: str, *, but: tuple[Mac, str]) -> list[str]:
    """When each attempt after `since` but this one began, the oldest first."""
    sql = "SELECT at FROM flash_slots WHERE at > ? AND NOT (mac = ? AND attempt = ?) ORDER BY at"
    return [row[0] for row in tx.rows(sql, since, *but)]


def has_slot(tx: Tx, mac: Mac, attempt: str, since: str) -> bool:
    """Whether this attempt was counted after `since`."""
    sql = "SELECT 1 FROM flash_slots WHERE mac = ? AND attempt = ? AND at > ?"
    return tx.value(sql, mac, attempt, since) is not None


def take_slot(tx: Tx, mac: Mac, attempt: str, *, at: str, since: str) -> None:
    """Count this attempt from now on, unless it is counted; what is older than `since` goes."""
    tx.run("DELETE FROM flash_slots WHERE at <= ?", since)
    tx.run(
        "INSERT INTO flash_slots (mac, attempt, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        *(mac, attempt, at),
    )

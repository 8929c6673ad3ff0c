"""Each inventory of a machine that differed from the one before, compressed, the newest few."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from bty_app.domain.hardware import Facts, as_text, digest, from_text
from bty_app.domain.mac import Mac
from bty_app.store.database import Tx

KEPT = 20
_LARGEST = 16 * 1024 * 1024  # unpacked: more than any inventory that is taken


@dataclass(frozen=True, slots=True)
class Entry:
    """One of them. `changes` are sentences; none for the first that was kept."""

    id: int
    at: str
    changes: tuple[str, ...]


def last(tx: Tx, mac: Mac) -> tuple[str, Facts] | None:
    """Digest and facts of the newest, or None."""
    sql = "SELECT digest, facts FROM hardware_history WHERE mac = ? ORDER BY id DESC LIMIT 1"
    row = tx.row(sql, mac)
    return (row[0], from_text(row[1])) if row else None


def add(tx: Tx, mac: Mac, facts: Facts, changes: Sequence[str], report: bytes, *, at: str) -> None:
    """Add the newest; the oldest beyond `KEPT` go. `report` is what `packed` gives."""
    tx.run(
        "INSERT INTO hardware_history (mac, at, digest, facts, changes, report)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        *(mac, at, digest(facts), as_text(facts), json.dumps(list(changes)), report),
    )
    tx.run(
        "DELETE FROM hardware_history WHERE mac = ? AND id <= (SELECT id FROM hardware_history"
        " WHERE mac = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
        *(mac, mac, KEPT),
    )


def listed(tx: Tx, mac: Mac) -> list[Entry]:
    """All that are kept, newest first."""
    sql = "SELECT id, at, changes FROM hardware_history WHERE mac = ? ORDER BY id DESC"
    return [Entry(row[0], row[1], tuple(json.loads(row[2]))) for row in tx.rows(sql, mac)]


def report(tx: Tx, mac: Mac, number: int) -> str | None:
    """What the machine reported then, JSON text; None when it is not kept."""
    sql = "SELECT report FROM hardware_history WHERE mac = ? AND id = ?"
    found = tx.value(sql, mac, number)
    return None if found is None else _unpacked(found)


def packed(disks: str, lshw: str | None) -> bytes:
    """An inventory as it is kept. Both are JSON text."""
    return zlib.compress(f'{{"disks":{disks},"lshw":{lshw or "null"}}}'.encode(), 6)


def _unpacked(data: bytes) -> str:
    return zlib.decompressobj().decompress(data, _LARGEST).decode("utf-8", "replace")

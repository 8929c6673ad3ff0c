"""The stages of boots, bounded for each machine and in the whole."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from bty_app.domain.boot_stages import (
    TURNS,
    Seen,
    Stage,
    as_text,
    from_text,
    merged,
    said_before,
)
from bty_app.domain.mac import Mac
from bty_app.domain.moments import stamp
from bty_app.store.database import Row, Tx

PER_MACHINE = 200
IN_ALL = 400_000

_STAGES = {stage.value for stage in Stage}
_COLUMNS = "at, stage, ip, detail, times, last_at"


def append(tx: Tx, mac: Mac, stages: Iterable[Seen]) -> bool:
    """Add stages of one machine, oldest first; False when there is no record of the machine.

    One that says again what is here is counted there.
    """
    if tx.row("SELECT 1 FROM machines WHERE mac = ?", mac) is None:
        return False
    for seen in stages:
        _add(tx, mac, seen)
    tx.run(
        "DELETE FROM boot_stages WHERE mac = ? AND id <= (SELECT id FROM boot_stages WHERE mac = ?"
        " ORDER BY id DESC LIMIT 1 OFFSET ?)",
        *(mac, mac, PER_MACHINE),
    )
    return True


def trim(tx: Tx, *, keep: int = IN_ALL) -> int:
    """Delete the oldest beyond `keep` of all machines together; how many."""
    newest = tx.value("SELECT max(id) FROM boot_stages")
    return tx.run("DELETE FROM boot_stages WHERE id <= ?", newest - keep) if newest else 0


def of(tx: Tx, mac: Mac) -> list[Seen]:
    """The stages of one machine, oldest first."""
    sql = f"SELECT {_COLUMNS} FROM boot_stages WHERE mac = ? ORDER BY id"
    return [_seen(row) for row in tx.rows(sql, mac) if row[1] in _STAGES]


def after(tx: Tx, number: int, *, limit: int) -> list[tuple[int, str, Seen | None]]:
    """Stages of all machines behind this number, oldest first: the number of each, its machine,
    and the stage, None for one that is not known any more.
    """
    sql = f"SELECT {_COLUMNS}, id, mac FROM boot_stages WHERE id > ? ORDER BY id LIMIT ?"
    return [
        (row[-2], row[-1], _seen(row[:-2]) if row[1] in _STAGES else None)
        for row in tx.rows(sql, number, limit)
    ]


def newest(tx: Tx) -> int:
    """The number of the last one; 0 when there is none."""
    return int(tx.value("SELECT max(id) FROM boot_stages") or 0)


def _add(tx: Tx, mac: Mac, seen: Seen) -> None:
    sql = f"SELECT {_COLUMNS}, id FROM boot_stages WHERE mac = ? ORDER BY id DESC LIMIT ?"
    rows = [row for row in tx.rows(sql, mac, TURNS) if row[1] in _STAGES][::-1]
    earlier = [_seen(row[:-1]) for row in rows]
    place = said_before(earlier, seen)
    if place is not None:
        both = merged(earlier[place], seen)
        tx.run(
            "UPDATE boot_stages SET times = ?, last_at = ?, ip = ? WHERE id = ?",
            *(both.times, stamp(both.until), both.ip, rows[place][-1]),
        )
        return
    tx.run(
        "INSERT INTO boot_stages (mac, at, stage, ip, detail, times, last_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        *(mac, stamp(seen.at), seen.stage.value, seen.ip, as_text(seen.detail)),
        *(seen.times, stamp(seen.until)),
    )


def _seen(row: Row) -> Seen:
    at, stage, ip, detail, times, last_at = row
    until = datetime.fromisoformat(last_at)
    return Seen(datetime.fromisoformat(at), Stage(stage), ip, from_text(detail), times, until)

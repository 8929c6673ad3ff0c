"""Which machines a list shows: search, filters, order, slice; and all that match, in slices."""

from __future__ import annotations

from dataclasses import dataclass

from bty_app.domain.mac import Mac
from bty_app.domain.machine import Machine
from bty_app.store.database import Tx
from bty_app.store.machines import COLUMNS, machine_of

SORTS = ("mac", "bty_image_ref", "boot_mode", "last_seen_at", "last_seen_ip", "last_flashed_at")


@dataclass(frozen=True, slots=True)
class Page:
    """Which machines to list: a substring of what a person sees, an order, a slice.

    `seen_since` and `not_seen_since` are moments as they are stored; `seen` False: never.
    """

    search: str | None = None
    boot_mode: str | None = None
    phase: str | None = None
    label: str | None = None
    bound: bool | None = None
    image_ref: str | None = None
    seen: bool | None = None
    seen_since: str | None = None
    not_seen_since: str | None = None
    sort: str = "mac"
    descending: bool = False
    offset: int = 0
    limit: int = 50


def listed(tx: Tx, page: Page) -> list[Machine]:
    """One page of machines.

    What matches is found by its columns in an index; the records, which are long, are read of
    those alone that are shown.
    """
    where, values = _conditions(page)
    column = page.sort if page.sort in SORTS else "mac"
    way = "DESC" if page.descending else "ASC"
    # The MAC turns with the column, so that one index serves both ways.
    order = f"{column} {way}, mac {way}" if column != "mac" else f"mac {way}"
    sql = (
        f"SELECT {COLUMNS} FROM machines WHERE mac IN"
        f" (SELECT mac FROM machines {where} ORDER BY {order} LIMIT ? OFFSET ?) ORDER BY {order}"
    )
    return [machine_of(row) for row in tx.rows(sql, *values, page.limit, page.offset)]


def count(tx: Tx, page: Page) -> int:
    """How many machines match, over all pages."""
    where, values = _conditions(page)
    return int(tx.value(f"SELECT count(*) FROM machines {where}", *values))


def matching(tx: Tx, page: Page, after: str, *, limit: int) -> list[Mac]:
    """The MACs that match and follow `after`, in their order; the page's own order and slice
    do not count.
    """
    where, values = _conditions(page)
    more = f"{where} AND mac > ?" if where else "WHERE mac > ?"
    sql = f"SELECT mac FROM machines {more} ORDER BY mac LIMIT ?"
    return [Mac(row[0]) for row in tx.rows(sql, *values, after, limit)]


def _conditions(page: Page) -> tuple[str, list[object]]:
    parts: list[str] = []
    values: list[object] = []
    exact = {"boot_mode": page.boot_mode, "phase": page.phase, "bty_image_ref": page.image_ref}
    for column, value in exact.items():
        if value:
            parts.append(f"{column} = ?")
            values.append(value)
    if page.bound is not None:
        parts.append(f"bty_image_ref IS {'NOT ' * page.bound}NULL")
    if page.label:
        parts.append("mac IN (SELECT mac FROM machine_labels WHERE label = ?)")
        values.append(page.label)
    if page.seen is not None:
        parts.append(f"last_seen_at IS {'NOT ' * page.seen}NULL")
    if page.seen_since:
        parts.append("last_seen_at >= ?")
        values.append(page.seen_since)
    if page.not_seen_since:
        parts.append("last_seen_at < ?")
        values.append(page.not_seen_since)
    if page.search:
        columns = ("mac", "last_seen_ip", "target_disk_serial", "boot_mode")
        found = " OR ".join(f"{column} LIKE ? ESCAPE '!'" for column in columns)
        named = "mac IN (SELECT mac FROM machine_labels WHERE label LIKE ? ESCAPE '!')"
        parts.append(f"({found} OR {named})")
        values.extend([_containing(page.search)] * (len(columns) + 1))
    return (f"WHERE {' AND '.join(parts)}" if parts else ""), values


def _containing(text: str) -> str:
    """A LIKE pattern for what contains `text`, whatever its case."""
    literal = text.replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return f"%{literal}%"

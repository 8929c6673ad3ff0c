"""Which machines a list shows: search, filters, order, slice; and all that match, in slices."""

from __future__ import annotations

from dataclasses import dataclass

from bty_app.domain.mac import Mac
from bty_app.domain.machine import BootMode, Machine, State
from bty_app.store.database import Tx
from bty_app.store.machines import COLUMNS, UNPROVEN, machine_of

SORTS = ("mac", "bty_image_ref", "boot_mode", "last_seen_at", "last_seen_ip", "last_flashed_at")


_FLASHES = "boot_mode IN ('bty-flash-once', 'bty-flash-always')"
# The first that holds. What the page of machines calls a fault is one here.
_STATE = f"""CASE
    WHEN boot_mode = 'ipxe-exit' THEN '{State.RESTS}'
    WHEN boot_mode = 'bty-tui' THEN '{State.WAITS}'
    WHEN {_FLASHES} AND (bty_image_ref IS NULL OR target_disk_serial IS NULL OR bty_image_ref
        NOT IN (SELECT bty_image_ref FROM catalog_entries)) THEN '{State.FAULT}'
    WHEN phase IN ('failed', 'held') THEN '{State.FAULT}'
    WHEN phase = 'booted' AND {_FLASHES}
        AND mac IN (SELECT mac FROM machine_progress) THEN '{State.FLASHING}'
    WHEN phase = 'booted' THEN '{State.LIVE}'
    WHEN {UNPROVEN} THEN iif(silence_reported, '{State.FAULT}', '{State.UNPROVEN}')
    WHEN phase IN ('done', 'released') THEN '{State.DONE}'
    ELSE '{State.WAITS}' END"""
# The plus keeps SQLite from an index of modes that has not all that a state is told from.
STATES = f"SELECT boot_mode, {_STATE} AS state, count(*) FROM machines GROUP BY +boot_mode, state"


@dataclass(frozen=True, slots=True)
class Page:
    """Which machines to list: a substring of what a person sees, an order, a slice.

    `seen_since` and `not_seen_since` are moments as they are stored; `seen` False: never.
    """

    search: str | None = None
    boot_mode: str | None = None
    phase: str | None = None
    state: str | None = None
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


def states(tx: Tx) -> dict[tuple[BootMode, State], int]:
    """How many machines of each mode are in each state that there is."""
    return {(BootMode(mode), State(state)): count for mode, state, count in tx.rows(STATES)}


def state_of(tx: Tx, mac: Mac) -> State | None:
    """The state of one machine; None where there is no record."""
    found = tx.value(f"SELECT {_STATE} FROM machines WHERE mac = ?", mac)
    return None if found is None else State(found)


def rate(tx: Tx) -> int:
    """How many bytes a second the flashes under way write, all together."""
    # The modes and the phase are in an index, which finds those few first.
    under_way = f"SELECT mac FROM machines WHERE {_FLASHES} AND phase = 'booted' AND {_STATE} = ?"
    sql = f"SELECT sum(rate) FROM machine_progress WHERE mac IN ({under_way})"
    return int(tx.value(sql, State.FLASHING) or 0)


def has_booted(tx: Tx) -> bool:
    """Whether any machine has been here again after a flash of it was complete."""
    sql = (
        "SELECT 1 FROM machines WHERE last_flashed_at > ''"
        " AND last_seen_at > last_flashed_at LIMIT 1"
    )
    return tx.value(sql) is not None


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
    if page.state:
        parts.append(f"{_STATE} = ?")
        values.append(page.state)
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

"""Which rows differ between a backup and now, asked of both at once by SQL.

The connection has the live database as `main` and the copy as `backup`. `make` notes in the
temporary table `plan` what becomes of each machine; all else reads that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bty_app.domain.mac import Mac
from bty_app.domain.machine import BootMode
from bty_app.domain.restoring import Counts, Effect, Field, Known, RowChange, Wanted
from bty_app.store.database import Row, Tx
from bty_app.store.own_settings import OWN_KEYS

LONGEST = 200  # characters of a value that is shown

_OPERATORS = (
    *("boot_mode", "bty_image_ref", "target_disk_serial", "sanboot_drive"),
    *("flash_wipe", "flash_verify", "flash_done"),
)
_CYCLE = {
    "phase": "'idle'",
    "phase_at": "NULL",
    "attempts": "0",
    "ordered_at": "NULL",
    "silence_reported": "0",
}
_RECORD = (
    *("known_disks_at", "hw_lshw_at", "discovered_at", "created_at", "known_disks", "hw_lshw"),
)
# What only the box itself can say: of one that is here, what it said last counts.
_OF_THE_BOX = ("last_seen_at", "last_seen_ip", "booted_at", "disk_suspect")
COLUMNS = (*("mac", *_OPERATORS, *_CYCLE, "last_flashed_at", *_OF_THE_BOX, "updated_at", *_RECORD),)
_DIFFERING = tuple(c for c in COLUMNS if c not in {"mac", "updated_at", *_OF_THE_BOX})
_TIMES = ("last_seen_at", "last_seen_ip", "discovered_at", "known_disks_at", "hw_lshw_at")
# Of the large values it is enough whether they differ, and of when they are.
_DIGESTED = tuple(c for c in _DIFFERING if c not in {"known_disks", "hw_lshw"})
_SHOWN = (*_OPERATORS, "phase", "last_flashed_at", "known_disks_at", "hw_lshw_at", "created_at")

# It would be flashed at one of its next boots.
_ARMED = (
    "(b.boot_mode IN ('bty-flash-once', 'bty-flash-always')"
    " AND NOT (b.boot_mode = 'bty-flash-once' AND b.phase IN ('done', 'released')))"
)
# The order is the same one: how far the box is with it is what it is now.
_SAME = (
    "(n.mac IS NOT NULL AND b.boot_mode IS n.boot_mode AND b.bty_image_ref IS n.bty_image_ref"
    " AND b.target_disk_serial IS n.target_disk_serial)"
)
# So it is where the one of the backup is disarmed, and that is what is here.
_SAME_DISARMED = (
    f"({_ARMED} AND n.boot_mode = '{BootMode.INVENTORY.value}'"
    " AND b.bty_image_ref IS n.bty_image_ref AND b.target_disk_serial IS n.target_disk_serial)"
)
_LABELS = (
    "(SELECT group_concat(label, ', ') FROM (SELECT label FROM {0}.machine_labels"
    " WHERE mac = {1}.mac ORDER BY label))"
)
_LABELS_NOW, _LABELS_THEN = (_LABELS.format(schema, "p") for schema in ("main", "backup"))


@dataclass(frozen=True, slots=True)
class Keyed:
    """A small table that is restored row by row: those for which `wanted`, in SQL, holds."""

    name: str
    key: str
    columns: tuple[str, ...]
    differing: tuple[str, ...]
    wanted: str = "true"


def make(tx: Tx, wanted: Wanted) -> None:
    """Note for each machine of the backup, or of now, what becomes of it.

    Raises:
        apsw.Error: one of the two cannot be read.
    """
    tx.run("DROP TABLE IF EXISTS temp.plan")
    choose(tx, wanted.macs)
    tx.run(
        "CREATE TEMP TABLE plan (mac TEXT PRIMARY KEY, kind TEXT NOT NULL, same INT NOT NULL,"
        " armed INT NOT NULL, disarm INT NOT NULL) WITHOUT ROWID"
    )
    only = " WHERE b.mac IN (SELECT mac FROM temp.chosen)" if wanted.macs else ""
    tx.run(
        "INSERT INTO temp.plan SELECT b.mac, iif(n.mac IS NULL, 'added', 'here'),"
        f" {_SAME} OR ifnull({_SAME_DISARMED} AND NOT ?1, 0),"
        f" {_ARMED} AND NOT {_SAME}, {_ARMED} AND NOT {_SAME} AND NOT ?1"
        f" FROM backup.machines AS b LEFT JOIN main.machines AS n ON n.mac = b.mac{only}",
        int(wanted.keep_boot_modes),
    )
    differs = " OR ".join(f"n.{c} IS NOT {target(c, 'n.')}" for c in _DIFFERING)
    tx.run(
        "UPDATE temp.plan AS p SET kind = iif(EXISTS (SELECT 1 FROM backup.machines AS b,"
        f" main.machines AS n WHERE b.mac = p.mac AND n.mac = p.mac AND ({differs}))"
        f" OR {_LABELS_NOW} IS NOT {_LABELS_THEN}, 'changed', 'same')"
        " WHERE kind = 'here'"
    )
    if not wanted.macs:
        tx.run(
            "INSERT INTO temp.plan SELECT mac, 'removed', 0, 0, 0 FROM main.machines"
            " WHERE mac NOT IN (SELECT mac FROM backup.machines)"
        )


def choose(tx: Tx, macs: Iterable[Mac]) -> None:
    """Note in the temporary table `chosen` which machines are asked for.

    Raises:
        apsw.Error: it cannot be noted.
    """
    tx.run("DROP TABLE IF EXISTS temp.chosen")
    tx.run("CREATE TEMP TABLE chosen (mac TEXT PRIMARY KEY) WITHOUT ROWID")
    for mac in macs:
        tx.run("INSERT OR IGNORE INTO temp.chosen VALUES (?)", mac)


def target(column: str, now: str) -> str:
    """The value that a column will have, of `b` (the backup), `p` (the plan) and the row of now.

    Args:
        column: one of `COLUMNS` but `updated_at`.
        now: what stands before a column of the row of now; empty where there is none.
    """
    then = f"b.{column}"
    if column in _OF_THE_BOX:
        return f"{now}{column}" if now else then
    if column == "boot_mode":
        return f"iif(p.disarm, '{BootMode.INVENTORY.value}', b.boot_mode)"
    if column in _CYCLE:
        then = f"iif(p.disarm, {_CYCLE[column]}, {then})"
    if now and column in (*_CYCLE, "last_flashed_at"):
        return f"iif(p.same, {now}{column}, {then})"
    return then


def keyed_tables(tx: Tx) -> tuple[Keyed, ...]:
    """The catalog, and the settings but what the server keeps for itself among them."""
    catalog = tuple(
        str(row[0]) for row in tx.rows("SELECT name FROM pragma_table_info('catalog_entries')")
    )
    kept = ", ".join(f"'{key}'" for key in sorted(OWN_KEYS))
    return (
        Keyed("catalog_entries", "bty_image_ref", catalog, catalog),
        Keyed(
            "settings",
            "key",
            ("key", "value", "updated_at"),
            ("value",),
            wanted=f"key NOT IN ({kept})",
        ),
    )


def effect(tx: Tx, wanted: Wanted, sha256: str) -> Effect:
    """What a restore by the plan does.

    Raises:
        apsw.Error: one of the two cannot be read.
    """
    kinds: dict[str, int] = dict(tx.rows("SELECT kind, count(*) FROM temp.plan GROUP BY kind"))
    tables = {"machines": _counts(kinds)}
    digest = hashlib.sha256(repr((sha256, wanted)).encode())
    for row in tx.rows(_rows_sql(_DIGESTED) + " ORDER BY p.mac"):
        digest.update(repr(row).encode("utf-8", "backslashreplace"))
    if not wanted.macs:
        for table in keyed_tables(tx):
            rows = list(_keyed_changes(tx, table))
            tables[table.name] = _counts_of(rows)
            digest.update(repr(rows).encode("utf-8", "backslashreplace"))
    since, foreign = _events(tx)
    return Effect(
        tables=tables,
        armed=0 if not wanted.keep_boot_modes else _number(tx, "armed"),
        disarmed=_number(tx, "disarm"),
        events_since=since,
        foreign_events=foreign,
        tokens_left=0 if wanted.with_tokens and not wanted.macs else _tokens(tx),
        digest=digest.hexdigest(),
    )


def changes(
    tx: Tx, wanted: Wanted, *, limit: int, offset: int = 0, containing: str = ""
) -> list[RowChange]:
    """The rows that differ: machines in the order of MACs, those that would be flashed first.

    `containing` is a part of the MAC, in small letters.
    """
    found = "" if not containing else " AND instr(p.mac, ?)"
    sql = f"{_rows_sql(_SHOWN)}{found} ORDER BY max(p.disarm, p.armed) DESC, p.mac LIMIT ? OFFSET ?"
    values = (containing,) if containing else ()
    rows = [_machine_change(row) for row in tx.rows(sql, *values, limit, offset)]
    if not wanted.macs and not containing and len(rows) < limit:
        rest = max(0, offset - count(tx))
        keyed = [row for table in keyed_tables(tx) for row in _keyed_changes(tx, table)]
        rows += keyed[rest : rest + limit - len(rows)]
    return rows


def count(tx: Tx, containing: str = "") -> int:
    """How many machines differ."""
    sql = "SELECT count(*) FROM temp.plan WHERE kind <> 'same' AND instr(mac, ?)"
    return int(tx.value(sql, containing))


def known(tx: Tx, mac: Mac) -> Known:
    """What both databases know of one machine."""
    return Known(then=_record(tx, "backup", mac), here=_record(tx, "main", mac))


def _record(tx: Tx, schema: str, mac: Mac) -> dict[str, str | None]:
    labels = _LABELS.format(schema, "m")
    disks = "(SELECT group_concat(coalesce(value ->> 'model', value ->> 'path')"
    disks += " || coalesce(' ' || (value ->> 'serial'), ''), '; ') FROM json_each(m.known_disks))"
    names = (*_OPERATORS, "phase", "last_flashed_at", *_TIMES)
    columns = ", ".join(f"m.{name}" for name in names)
    sql = f"SELECT {columns}, {labels}, {disks} FROM {schema}.machines AS m WHERE mac = ?"
    row = tx.row(sql, mac)
    if row is None:
        return {}
    return dict(zip((*names, "labels", "disks"), map(shown, row), strict=True))


def _rows_sql(columns: tuple[str, ...]) -> str:
    old = ", ".join(f"n.{c}" for c in columns)
    new = ", ".join(target(c, "n.") for c in columns)
    return (
        f"SELECT p.mac, p.kind, p.disarm, {_LABELS_NOW}, {_LABELS_THEN},"
        f" b.known_disks IS NOT n.known_disks, b.hw_lshw IS NOT n.hw_lshw, {old}, {new}"
        " FROM temp.plan AS p LEFT JOIN main.machines AS n ON n.mac = p.mac"
        " LEFT JOIN backup.machines AS b ON b.mac = p.mac WHERE p.kind <> 'same'"
    )


def _machine_change(row: Row) -> RowChange:
    mac, kind, disarm, labels_old, labels_new, disks, lshw = row[:7]
    old, new = row[7 : 7 + len(_SHOWN)], row[7 + len(_SHOWN) :]
    gone = kind == "removed"
    fields = [
        Field(name, shown(before), None if gone else shown(after))
        for name, before, after in zip(_SHOWN, old, new, strict=True)
        if before != (None if gone else after)
        or (name == "known_disks_at" and disks and not gone)
        or (name == "hw_lshw_at" and lshw and not gone)
    ]
    if labels_old != labels_new:
        fields.insert(0, Field("labels", shown(labels_old), shown(labels_new)))
    return RowChange("machines", mac, kind, tuple(fields), bool(disarm))


def _keyed_changes(tx: Tx, table: Keyed) -> Iterator[RowChange]:
    columns = table.differing
    differs = " OR ".join(f"n.{c} IS NOT b.{c}" for c in columns)
    old, new = (", ".join(f"{side}.{c}" for c in columns) for side in "nb")
    sql = (
        f"SELECT coalesce(n.{table.key}, b.{table.key}) AS id,"
        f" iif(n.{table.key} IS NULL, 'added', iif(b.{table.key} IS NULL, 'removed', 'changed')),"
        f" {old}, {new} FROM (SELECT * FROM main.{table.name} WHERE {table.wanted}) AS n"
        f" FULL JOIN (SELECT * FROM backup.{table.name} WHERE {table.wanted}) AS b"
        f" ON n.{table.key} = b.{table.key}"
        f" WHERE n.{table.key} IS NULL OR b.{table.key} IS NULL OR {differs} ORDER BY id"
    )
    for row in tx.rows(sql):
        before, after = row[2 : 2 + len(columns)], row[2 + len(columns) :]
        fields = tuple(
            Field(name, shown(one), shown(other))
            for name, one, other in zip(columns, before, after, strict=True)
            if one != other
        )
        yield RowChange(table.name, str(row[0]), row[1], fields)


def shown(value: object) -> str | None:
    """A value as text of a bounded length."""
    if value is None:
        return None
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _counts(kinds: dict[str, int]) -> Counts:
    return Counts(kinds.get("added", 0), kinds.get("removed", 0), kinds.get("changed", 0))


def _counts_of(rows: list[RowChange]) -> Counts:
    kinds = [row.kind for row in rows]
    return Counts(kinds.count("added"), kinds.count("removed"), kinds.count("changed"))


def _number(tx: Tx, column: str) -> int:
    return int(tx.value(f"SELECT count(*) FROM temp.plan WHERE {column}"))


def _events(tx: Tx) -> tuple[int, int]:
    """How many events came after the backup, and how many of the backup are not known here."""
    last = tx.row("SELECT id, chain FROM backup.events ORDER BY id DESC LIMIT 1")
    if last is None:
        return int(tx.value("SELECT count(*) FROM main.events")), 0
    if tx.value("SELECT 1 FROM main.events WHERE id = ? AND chain = ?", *last):
        return int(tx.value("SELECT count(*) FROM main.events WHERE id > ?", last[0])), 0
    foreign = tx.value(
        "SELECT count(*) FROM backup.events AS b WHERE NOT EXISTS"
        " (SELECT 1 FROM main.events AS n WHERE n.id = b.id AND n.chain = b.chain)"
        # What is older than the first one here was removed by age, or is of a log before it.
        " AND b.id >= (SELECT coalesce(min(id), 0) FROM main.events)"
    )
    return int(tx.value("SELECT count(*) FROM main.events")), int(foreign)


def _tokens(tx: Tx) -> int:
    sql = (
        "SELECT count(*) FROM backup.api_tokens WHERE id NOT IN (SELECT id FROM main.api_tokens)"
        " AND name NOT IN (SELECT name FROM main.api_tokens)"
    )
    return int(tx.value(sql))

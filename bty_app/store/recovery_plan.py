"""How the rows of an old database, read and checked (`old_state`), stand to those of now.

The connection has the live database as `main` and the scratch file as `backup`. `make` notes in the
temporary table `verdict` what becomes of each row; all else reads that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bty_app.domain.machine import MAX_LABELS, BootMode
from bty_app.domain.recovering import Choice, Part, PartCounts
from bty_app.domain.restoring import Field, RowChange
from bty_app.store.database import Row, Tx
from bty_app.store.restore_plan import choose, shown

NEW, FILLED, SAME, CONFLICT, REPLACED = "new", "filled", "same", "conflict", "replaced"
INVENTORY = BootMode.INVENTORY.value
BINDING = (
    *("boot_mode", "bty_image_ref", "target_disk_serial", "sanboot_drive"),
    *("flash_wipe", "flash_verify", "flash_done"),
)
IMAGE = (
    *("bty_image_ref", "src", "resolved_src", "disk_image_sha", "name", "sha_url", "format"),
    *("size_bytes", "description", "added_at", "arch", "mirrors"),
)
HARDWARE = (("known_disks", "known_disks_at"), ("hw_lshw", "hw_lshw_at"))


@dataclass(frozen=True, slots=True)
class _Compared:
    """How the rows of a part stand here: SQL over `a` (the old row) and `n` (that of now)."""

    part: Part
    key: str
    source: str
    verdict: str


def make(tx: Tx, choice: Choice) -> None:
    """Note of each old row that was picked what becomes of it.

    Raises:
        apsw.Error: one of the two databases cannot be read.
    """
    tx.run("DROP TABLE IF EXISTS temp.verdict")
    choose(tx, choice.macs)
    tx.run(
        "CREATE TEMP TABLE verdict (part TEXT, key TEXT, kind TEXT, PRIMARY KEY (part, key))"
        " WITHOUT ROWID"
    )
    for compared in _compared(keep=choice.keep_boot_modes):
        if compared.part not in choice.parts:
            continue
        only = ""
        if choice.macs:
            if compared.key not in {"a.mac", "a.mac || ' ' || a.label"}:
                continue  # no row of a machine
            only = " WHERE a.mac IN (SELECT mac FROM temp.chosen)"
        tx.run(
            f"INSERT INTO temp.verdict SELECT '{compared.part.value}', {compared.key},"
            f" {compared.verdict} FROM {compared.source}{only}"
        )
    if choice.prefer_archive:
        tx.run(f"UPDATE temp.verdict SET kind = '{REPLACED}' WHERE kind = '{CONFLICT}'")


def counts(tx: Tx, choice: Choice) -> Mapping[Part, PartCounts]:
    """What becomes of the rows of each part."""
    found: dict[Part, dict[str, int]] = {part: {} for part in Part if part in choice.parts}
    for part, kind, number in tx.rows(
        "SELECT part, kind, count(*) FROM temp.verdict GROUP BY part, kind"
    ):
        found[Part(part)][kind] = number
    return {
        part: PartCounts(
            new=kinds.get(NEW, 0),
            filled=kinds.get(FILLED, 0),
            same=kinds.get(SAME, 0),
            conflicts=kinds.get(CONFLICT, 0),
            replaced=kinds.get(REPLACED, 0),
        )
        for part, kinds in found.items()
    }


def digest(tx: Tx, choice: Choice) -> str:
    """Of what would be done: another one when something changed that matters to it."""
    value = hashlib.sha256(repr((sorted(choice.parts), choice.macs)).encode())
    value.update(repr((choice.keep_boot_modes, choice.prefer_archive)).encode())
    for row in tx.rows("SELECT part, key, kind FROM temp.verdict ORDER BY part, key"):
        value.update(repr(row).encode("utf-8", "backslashreplace"))
    for row in tx.rows(_bindings_sql("") + " ORDER BY a.mac"):
        value.update(repr(row).encode("utf-8", "backslashreplace"))
    return value.hexdigest()


def disarmed(tx: Tx, choice: Choice) -> int:
    """How many machines that were armed there come over disarmed."""
    if choice.keep_boot_modes:
        return 0
    sql = "SELECT count(*) FROM backup.old_bindings AS a JOIN temp.verdict AS v ON v.key = a.mac"
    where = f" WHERE v.part = 'bindings' AND a.armed AND v.kind NOT IN ('{SAME}', '{CONFLICT}')"
    return int(tx.value(sql + where))


def without_image(tx: Tx) -> int:
    """How many bindings that come over are to an image that the catalog will not have."""
    return int(
        tx.value(
            "SELECT count(*) FROM backup.old_bindings AS a JOIN temp.verdict AS v ON v.key = a.mac"
            f" WHERE v.part = 'bindings' AND v.kind NOT IN ('{SAME}', '{CONFLICT}')"
            " AND a.bty_image_ref IS NOT NULL"
            " AND a.bty_image_ref NOT IN (SELECT bty_image_ref FROM main.catalog_entries)"
            " AND a.bty_image_ref NOT IN"
            " (SELECT key FROM temp.verdict WHERE part = 'catalog' AND kind = 'new')"
        )
    )


def rows(tx: Tx, choice: Choice, *, limit: int, offset: int = 0) -> list[RowChange]:
    """Rows that come over or differ, part by part, those that differ first."""
    found = tx.rows(
        f"SELECT part, key, kind FROM temp.verdict WHERE kind <> '{SAME}' AND part <> 'history'"
        f" ORDER BY kind <> '{CONFLICT}', part, key LIMIT ? OFFSET ?",
        limit,
        offset,
    )
    return [_change(tx, choice, *row) for row in list(found)]


def shown_total(tx: Tx) -> int:
    """How many rows `rows` has in all."""
    sql = f"SELECT count(*) FROM temp.verdict WHERE kind <> '{SAME}' AND part <> 'history'"
    return int(tx.value(sql))


# -- how rows stand here ---------------------------------------------------------------------------


def _compared(*, keep: bool) -> Iterable[_Compared]:
    yield _Compared(
        Part.HARDWARE,
        "a.mac",
        "backup.old_hardware AS a LEFT JOIN main.machines AS n ON n.mac = a.mac",
        _hardware_verdict(),
    )
    mode = mode_here(keep=keep)
    same = " AND ".join(f"n.{c} IS a.{c}" for c in BINDING[1:])
    yield _Compared(
        Part.BINDINGS,
        "a.mac",
        "backup.old_bindings AS a LEFT JOIN main.machines AS n ON n.mac = a.mac",
        # An operator who has armed it again since has said more than the archive knows.
        f"CASE WHEN n.mac IS NULL THEN '{NEW}'"
        f" WHEN {same} AND (n.boot_mode IS {mode} OR n.boot_mode IS a.boot_mode) THEN '{SAME}'"
        " WHEN n.bty_image_ref IS NULL AND n.target_disk_serial IS NULL"
        f" AND n.sanboot_drive IS NULL AND n.flash_wipe IS NULL AND n.flash_verify IS NULL"
        " AND n.flash_done IS NULL"
        f" AND n.boot_mode = '{INVENTORY}' THEN '{FILLED}'"
        f" ELSE '{CONFLICT}' END",
    )
    yield _Compared(
        Part.LABELS,
        "a.mac || ' ' || a.label",
        "backup.old_labels AS a LEFT JOIN main.machine_labels AS n"
        " ON n.mac = a.mac AND n.label = a.label",
        f"CASE WHEN n.mac IS NOT NULL THEN '{SAME}' WHEN (SELECT count(*) FROM (SELECT label"
        " FROM main.machine_labels WHERE mac = a.mac UNION SELECT label FROM backup.old_labels"
        f" WHERE mac = a.mac)) > {MAX_LABELS} THEN '{CONFLICT}' ELSE '{NEW}' END",
    )
    other = " OR ".join(f"n.{c} IS NOT a.{c}" for c in IMAGE if c != "added_at")
    yield _Compared(
        Part.CATALOG,
        "a.bty_image_ref",
        "backup.old_images AS a LEFT JOIN main.catalog_entries AS n"
        " ON n.bty_image_ref = a.bty_image_ref",
        f"CASE WHEN n.src IS NULL THEN '{NEW}' WHEN {other} THEN '{CONFLICT}' ELSE '{SAME}' END",
    )
    yield _Compared(
        Part.SETTINGS,
        "a.key",
        "backup.old_settings AS a LEFT JOIN main.settings AS n ON n.key = a.key",
        f"CASE WHEN n.key IS NULL THEN '{NEW}' WHEN n.value IS NOT a.value THEN '{CONFLICT}'"
        f" ELSE '{SAME}' END",
    )
    yield _Compared(
        Part.HISTORY,
        "a.n",
        "backup.old_events AS a",
        "iif(EXISTS (SELECT 1 FROM main.events AS n WHERE n.ts = a.ts AND n.kind = a.kind"
        " AND n.subject_id IS a.subject_id AND n.summary = a.summary),"
        f" '{SAME}', '{NEW}')",
    )


def _hardware_verdict() -> str:
    """Known beats unknown, then the newer record wins; an older one that differs is a conflict."""
    newer = " OR ".join(fills(*columns) for columns in HARDWARE)
    differs = " OR ".join(f"(a.{c} IS NOT NULL AND a.{c} IS NOT n.{c})" for c, _at in HARDWARE)
    return (
        f"CASE WHEN n.mac IS NULL THEN '{NEW}' WHEN {newer} THEN '{FILLED}'"
        f" WHEN {differs} THEN '{CONFLICT}' ELSE '{SAME}' END"
    )


def fills(column: str, at: str) -> str:
    """SQL: the old record is one that this database takes."""
    return (
        f"(a.{column} IS NOT NULL AND (n.{column} IS NULL OR (a.{column} IS NOT n.{column}"
        f" AND coalesce(a.{at}, '') > coalesce(n.{at}, ''))))"
    )


def mode_here(*, keep: bool) -> str:
    """SQL for the mode that a machine gets: one that is armed there is not here, but for `keep`."""
    return "a.boot_mode" if keep else f"iif(a.armed, '{INVENTORY}', a.boot_mode)"


# -- how it is shown -------------------------------------------------------------------------------


def _bindings_sql(where: str) -> str:
    old = ", ".join(f"n.{c}" for c in BINDING)
    new = ", ".join(f"a.{c}" for c in BINDING)
    return (
        f"SELECT {old}, {new}, a.armed FROM backup.old_bindings AS a"
        f" LEFT JOIN main.machines AS n ON n.mac = a.mac{where}"
    )


def _change(tx: Tx, choice: Choice, part: str, key: str, kind: str) -> RowChange:
    fields: tuple[Field, ...] = ()
    is_disarmed = False
    if part == "bindings":
        row = tx.row(_bindings_sql(" WHERE a.mac = ?"), key)
        if row:
            now, then, armed = row[: len(BINDING)], row[len(BINDING) : -1], row[-1]
            is_disarmed = bool(armed) and not choice.keep_boot_modes and kind != CONFLICT
            mode = INVENTORY if is_disarmed else then[0]
            fields = _fields(BINDING, now, (mode, *then[1:]))
    elif part == "catalog":
        fields = _of_two(tx, "catalog_entries", "old_images", ("name", "disk_image_sha"), key)
    elif part == "settings":
        fields = _of_two(tx, "settings", "old_settings", ("value",), key)
    elif part == "hardware":
        times = ("known_disks_at", "hw_lshw_at")
        fields = _of_two(tx, "machines", "old_hardware", times, key)
    return RowChange(part, key, kind, fields, is_disarmed)


def _of_two(
    tx: Tx, table: str, old_table: str, columns: tuple[str, ...], key: str
) -> tuple[Field, ...]:
    name = {"old_images": "bty_image_ref", "old_settings": "key"}.get(old_table, "mac")
    names = ", ".join(columns)
    now = tx.row(f"SELECT {names} FROM main.{table} WHERE {name} = ?", key)
    then = tx.row(f"SELECT {names} FROM backup.{old_table} WHERE {name} = ?", key)
    nothing = (None,) * len(columns)
    return _fields(columns, now or nothing, then or nothing)


def _fields(names: tuple[str, ...], old: Row, new: Row) -> tuple[Field, ...]:
    return tuple(
        Field(name, shown(before), shown(after))
        for name, before, after in zip(names, old, new, strict=True)
        if before != after
    )

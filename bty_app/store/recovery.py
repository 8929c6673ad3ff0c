"""Rows of an old database into the live one, by the verdicts of `recovery_plan`."""

from __future__ import annotations

from bty_app.domain.events import chain_value
from bty_app.domain.recovering import Choice
from bty_app.store import events
from bty_app.store.database import Tx
from bty_app.store.recovery_plan import (
    BINDING,
    FILLED,
    HARDWARE,
    IMAGE,
    INVENTORY,
    NEW,
    REPLACED,
    fills,
    mode_here,
)

_EVENT = "ts, kind, subject_kind, subject_id, actor, source_ip, summary, details"


def apply(tx: Tx, choice: Choice, *, at: str) -> None:
    """Do what the verdicts say."""
    _make_machines(tx, at)
    _hardware(tx, at, prefer=choice.prefer_archive)
    _bindings(tx, at, keep=choice.keep_boot_modes)
    tx.run(
        "INSERT OR IGNORE INTO main.machine_labels (mac, label) SELECT a.mac, a.label"
        " FROM backup.old_labels AS a JOIN temp.verdict AS v ON v.part = 'labels'"
        f" AND v.key = a.mac || ' ' || a.label WHERE v.kind IN ('{NEW}', '{FILLED}')"
    )
    names = ", ".join(IMAGE)
    tx.run(
        "DELETE FROM main.catalog_entries WHERE bty_image_ref IN (SELECT key FROM temp.verdict"
        f" WHERE part = 'catalog' AND kind = '{REPLACED}')"
    )
    tx.run(
        f"INSERT INTO main.catalog_entries ({names}) SELECT {names} FROM backup.old_images"
        " WHERE bty_image_ref IN (SELECT key FROM temp.verdict WHERE part = 'catalog'"
        f" AND kind IN ('{NEW}', '{REPLACED}')) ORDER BY rowid"
    )
    tx.run(
        "INSERT OR REPLACE INTO main.settings (key, value, updated_at) SELECT key, value, ?"
        " FROM backup.old_settings WHERE key IN (SELECT key FROM temp.verdict"
        f" WHERE part = 'settings' AND kind IN ('{NEW}', '{REPLACED}'))",
        at,
    )
    _history(tx)
    for topic in ("machines", "catalog", "settings", "events"):
        tx.touch(topic)


# -- what is done ----------------------------------------------------------------------------------


def _make_machines(tx: Tx, at: str) -> None:
    """Records for machines that are not here, for what comes over of them."""
    tx.run(
        "INSERT OR IGNORE INTO main.machines (mac, boot_mode, created_at, updated_at)"
        f" SELECT DISTINCT substr(key, 1, 17), '{INVENTORY}', ?1, ?1 FROM temp.verdict"
        f" WHERE part IN ('hardware', 'bindings', 'labels') AND kind IN ('{NEW}', '{FILLED}')"
        " ORDER BY 1",
        at,
    )


def _hardware(tx: Tx, at: str, *, prefer: bool) -> None:
    carried = _carried(tx, "hardware")
    for column, column_at in HARDWARE:
        wins = "a.{0} IS NOT NULL" if prefer else fills(column, column_at).replace("n.", "m.")
        for mac in carried:
            tx.run(
                f"UPDATE main.machines AS m SET ({column}, {column_at}) ="
                f" (SELECT {column}, {column_at} FROM backup.old_hardware WHERE mac = m.mac),"
                " updated_at = ? WHERE mac = ? AND EXISTS (SELECT 1 FROM backup.old_hardware AS a"
                f" WHERE a.mac = m.mac AND {wins.format(column)})",
                at,
                mac,
            )


def _bindings(tx: Tx, at: str, *, keep: bool) -> None:
    """As a save by an operator: the cycle begins anew, but a flash that was done stays done."""
    for mac in _carried(tx, "bindings"):
        tx.run(
            f"UPDATE main.machines AS m SET ({', '.join(BINDING)}, phase) ="
            f" (SELECT {mode_here(keep=keep)}, {', '.join('a.' + c for c in BINDING[1:])},"
            " iif(a.finished AND a.boot_mode = 'bty-flash-once', 'released', 'idle')"
            " FROM backup.old_bindings AS a WHERE a.mac = m.mac), phase_at = ?1, attempts = 0,"
            " ordered_at = NULL, silence_reported = 0, updated_at = ?1 WHERE mac = ?2",
            at,
            mac,
        )
        for table in ("machine_progress", "machine_orders"):
            tx.run(f"DELETE FROM main.{table} WHERE mac = ?", mac)
        tx.run(
            "INSERT INTO main.machine_orders (mac, armed_at) SELECT mac, ? FROM main.machines"
            " WHERE mac = ? AND boot_mode IN ('bty-flash-once', 'bty-flash-always')",
            at,
            mac,
        )


def _carried(tx: Tx, part: str) -> list[str]:
    sql = "SELECT key FROM temp.verdict WHERE part = ? AND kind IN (?, ?, ?) ORDER BY key"
    return [str(row[0]) for row in tx.rows(sql, part, NEW, FILLED, REPLACED)]


def _history(tx: Tx) -> None:
    """Append what happened then, acknowledged, and told to nobody: it is no news."""
    newest = events.newest_id(tx)
    chain = events.last_chain(tx)
    found = tx.rows(
        f"SELECT {_EVENT} FROM backup.old_events WHERE n IN (SELECT CAST(key AS INT)"
        " FROM temp.verdict WHERE part = 'history' AND kind = 'new') ORDER BY ts, n"
    )
    for fields in found:
        chain = chain_value(chain, fields)
        tx.run(
            f"INSERT INTO main.events ({_EVENT}, acknowledged, chain)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, ?)",
            *fields,
            chain,
        )
    tx.memo.clear()  # it knew the chain as it was
    tx.run(
        "UPDATE main.webhook_targets SET cursor = ? WHERE cursor >= ?"
        " AND target NOT LIKE '%.stages'",
        *(events.newest_id(tx), newest),
    )

"""Acts on many machines: what was shown, what was done, and what was there before."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from bty_app.domain.mac import Mac
from bty_app.store.database import Tx

_RECORD = (
    *("mac", "bty_image_ref", "discovered_at", "last_seen_at", "last_seen_ip", "boot_mode"),
    *("sanboot_drive", "last_flashed_at", "known_disks_at", "hw_lshw_at", "target_disk_serial"),
    *("created_at", "updated_at", "phase", "phase_at", "attempts", "ordered_at", "disk_suspect"),
    *("silence_reported", "flash_wipe", "flash_verify", "flash_done", "booted_at"),
    *("known_disks", "hw_lshw"),
)
# What an operator sets and where the box is: what an act changes, and its undoing brings back.
_SET = (
    *("bty_image_ref", "boot_mode", "sanboot_drive", "last_flashed_at", "target_disk_serial"),
    *("flash_wipe", "flash_verify", "flash_done"),
    *("phase", "phase_at", "attempts", "ordered_at", "disk_suspect", "silence_reported"),
)


@dataclass(frozen=True, slots=True)
class Stored:
    """An act. `act` is JSON text."""

    id: str
    at: str
    act: str
    digest: str
    state: str
    source_ip: str | None
    undo_until: str | None
    undone_at: str | None


@dataclass(frozen=True, slots=True)
class Item:
    """One machine of an act. `before` is what `kept` made."""

    mac: Mac
    state: str
    expected: str
    after: str | None
    note: str | None
    before: str | None


@dataclass(frozen=True, slots=True)
class Came:
    """What came of an act on one machine; what is None stays as it is stored."""

    state: str
    note: str = ""
    after: str | None = None
    before: str | None = None


def get(tx: Tx, act_id: str) -> Stored | None:
    """The act, or None."""
    row = tx.row(
        "SELECT id, at, act, digest, state, source_ip, undo_until, undone_at FROM bulk_acts"
        " WHERE id = ?",
        act_id,
    )
    return Stored(*row) if row else None


def latest(tx: Tx, limit: int) -> list[Stored]:
    """The newest acts."""
    sql = (
        "SELECT id, at, act, digest, state, source_ip, undo_until, undone_at FROM bulk_acts"
        " ORDER BY at DESC LIMIT ?"
    )
    return [Stored(*row) for row in tx.rows(sql, limit)]


def insert(tx: Tx, stored: Stored) -> None:
    """A new act, without machines."""
    tx.run(
        "INSERT INTO bulk_acts (id, at, act, digest, state, source_ip, undo_until)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        *(stored.id, stored.at, stored.act, stored.digest, stored.state),
        *(stored.source_ip, stored.undo_until),
    )
    tx.touch("bulk")


def set_state(tx: Tx, act_id: str, state: str) -> None:
    """Where the act is."""
    tx.run("UPDATE bulk_acts SET state = ? WHERE id = ?", state, act_id)
    tx.touch("bulk")


def set_undone(tx: Tx, act_id: str, *, at: str) -> None:
    """It was undone."""
    tx.run("UPDATE bulk_acts SET undone_at = ? WHERE id = ?", at, act_id)
    tx.touch("bulk")


def add_items(tx: Tx, act_id: str, items: Iterable[tuple[Mac, str]]) -> None:
    """Machines that the act is to be done to, with what was shown of each."""
    for mac, expected in items:
        tx.run(
            "INSERT INTO bulk_items (act_id, mac, state, expected) VALUES (?, ?, 'pending', ?)",
            *(act_id, mac, expected),
        )


def clear_items(tx: Tx, act_id: str) -> None:
    """None of its machines."""
    tx.run("DELETE FROM bulk_items WHERE act_id = ?", act_id)


def items(tx: Tx, act_id: str, state: str, *, limit: int) -> list[Item]:
    """Machines of the act in this state, in the order of MACs."""
    sql = (
        "SELECT mac, state, expected, after, note, before FROM bulk_items"
        " WHERE act_id = ? AND state = ? ORDER BY mac LIMIT ?"
    )
    rows = tx.rows(sql, act_id, state, limit)
    return [Item(Mac(row[0]), *row[1:]) for row in rows]


def settle(tx: Tx, act_id: str, mac: Mac, came: Came) -> None:
    """What came of the act on one machine."""
    tx.run(
        "UPDATE bulk_items SET state = ?, note = ?, after = coalesce(?, after),"
        " before = coalesce(?, before) WHERE act_id = ? AND mac = ?",
        *(came.state, came.note or None, came.after, came.before, act_id, mac),
    )
    tx.touch("bulk")


def counts(tx: Tx, act_id: str) -> Counter[str]:
    """How many of its machines are in each state."""
    sql = "SELECT state, count(*) FROM bulk_items WHERE act_id = ? GROUP BY state"
    return Counter({row[0]: row[1] for row in tx.rows(sql, act_id)})


def prune(tx: Tx, *, now: str, before: str) -> None:
    """Forget what can no longer be undone, and the acts of before `before`."""
    tx.run(
        "UPDATE bulk_items SET before = NULL WHERE before IS NOT NULL AND act_id IN"
        " (SELECT id FROM bulk_acts WHERE undo_until < ?)",
        now,
    )
    tx.run("DELETE FROM bulk_acts WHERE at < ? AND state IN ('ended', 'cancelled')", before)


def kept(tx: Tx, mac: Mac, *, whole: bool) -> str:
    """What there is of a machine as JSON text; `whole` with its hardware, for one to be deleted."""
    columns = _RECORD if whole else _SET
    row = tx.row(f"SELECT {', '.join(columns)} FROM machines WHERE mac = ?", mac)
    labels = [r[0] for r in tx.rows("SELECT label FROM machine_labels WHERE mac = ?", mac)]
    order = tx.row("SELECT armed_at, expires_at FROM machine_orders WHERE mac = ?", mac)
    record = dict(zip(columns, row or (), strict=True))
    return json.dumps({"record": record, "labels": labels, "order": order})


def restore(tx: Tx, mac: Mac, text: str, *, at: str, whole: bool) -> None:
    """Bring back what `kept` made: the whole record, or what was set of it."""
    found = json.loads(text)
    record = found["record"]
    columns = _RECORD if whole else _SET
    # What a version before kept has no word of what it did not know.
    values = [record.get(column) for column in columns]
    if whole:
        marks = ", ".join("?" * len(columns))
        tx.run(f"INSERT INTO machines ({', '.join(columns)}) VALUES ({marks})", *values)
    else:
        changes = ", ".join(f"{column} = ?" for column in columns)
        tx.run(f"UPDATE machines SET {changes}, updated_at = ? WHERE mac = ?", *values, at, mac)
    tx.run("DELETE FROM machine_labels WHERE mac = ?", mac)
    for label in found["labels"]:
        tx.run("INSERT INTO machine_labels (mac, label) VALUES (?, ?)", mac, label)
    tx.run("DELETE FROM machine_orders WHERE mac = ?", mac)
    if found["order"]:
        tx.run(
            "INSERT INTO machine_orders (mac, armed_at, expires_at) VALUES (?, ?, ?)",
            *(mac, *found["order"]),
        )
    tx.touch("machines")

"""Machine records: seen, assigned, forgotten; and where each is in its cycle."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from bty_app.domain.flash_options import OwnOptions
from bty_app.domain.mac import Mac
from bty_app.domain.machine import FLASH_MODES, Assignment, BootMode, Machine, Phase
from bty_app.store.database import Row, Tx

COLUMNS = (
    "mac, bty_image_ref, discovered_at, last_seen_at, last_seen_ip, boot_mode, sanboot_drive,"
    " last_flashed_at, known_disks_at, hw_lshw_at, target_disk_serial, created_at, updated_at,"
    " phase, phase_at, attempts, ordered_at, disk_suspect, flash_wipe, flash_verify,"
    " flash_done, booted_at, silence_reported"
)
# `Machine.is_unproven`, as a condition.
UNPROVEN = (
    "(boot_mode IN ('bty-flash-once', 'bty-flash-always') AND phase IN ('done', 'released')"
    " AND last_flashed_at > coalesce(booted_at, '') AND coalesce(flash_done,"
    " (SELECT value FROM settings WHERE key = 'flash.done')) = 'booted')"
)


@dataclass(frozen=True, slots=True)
class Progress:
    """What the live environment last said of its flash. Bytes, bytes per second."""

    at: str
    phase: str
    bytes_done: int | None
    bytes_total: int | None
    rate: int | None
    error: str | None


def get(tx: Tx, mac: Mac) -> Machine | None:
    """The machine, or None."""
    row = tx.row(f"SELECT {COLUMNS} FROM machines WHERE mac = ?", mac)
    return machine_of(row) if row else None


def seen(tx: Tx, mac: Mac, *, at: str, ip: str | None) -> tuple[Machine, bool]:
    """Note a contact; a machine that nobody knows is created in mode `bty-inventory`.

    Returns:
        The machine as it is now, and whether it is new.
    """
    row = tx.row(
        "UPDATE machines SET last_seen_at = ?, last_seen_ip = ?, updated_at = ?,"
        f" discovered_at = coalesce(discovered_at, ?) WHERE mac = ? RETURNING {COLUMNS}",
        *(at, ip, at, at, mac),
    )
    is_new = row is None
    if row is None:
        row = tx.row(
            "INSERT INTO machines (mac, boot_mode, discovered_at, last_seen_at, last_seen_ip,"
            f" created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING {COLUMNS}",
            *(mac, BootMode.INVENTORY.value, at, at, ip, at, at),
        )
    tx.touch("machines")
    assert row is not None  # noqa: S101 - INSERT … RETURNING gives the row
    return machine_of(row), is_new


def labels(tx: Tx, mac: Mac) -> list[str]:
    """The labels of one machine, sorted."""
    return [
        row[0] for row in tx.rows("SELECT label FROM machine_labels WHERE mac = ? ORDER BY 1", mac)
    ]


def after(tx: Tx, mac: str, *, limit: int) -> list[Machine]:
    """The `limit` machines that follow `mac` in the order of MACs."""
    sql = f"SELECT {COLUMNS} FROM machines WHERE mac > ? ORDER BY mac LIMIT ?"
    return [machine_of(row) for row in tx.rows(sql, mac, limit)]


def count_all(tx: Tx) -> int:
    """How many there are."""
    return int(tx.value("SELECT count(*) FROM machines"))


def last_contact(tx: Tx) -> str | None:
    """When a machine was last seen."""
    found = tx.value("SELECT max(last_seen_at) FROM machines")
    return None if found is None else str(found)


def counts_by_mode_and_phase(tx: Tx) -> list[tuple[str, str, int]]:
    """(mode, phase, how many machines)."""
    sql = "SELECT boot_mode, phase, count(*) FROM machines GROUP BY boot_mode, phase ORDER BY 1, 2"
    return [(row[0], row[1], row[2]) for row in tx.rows(sql)]


def bound_to(tx: Tx, image_ref: str, *, limit: int = 20) -> list[Mac]:
    """Machines that are bound to an image, up to `limit`."""
    sql = "SELECT mac FROM machines WHERE bty_image_ref = ? ORDER BY mac LIMIT ?"
    return [Mac(row[0]) for row in tx.rows(sql, image_ref, limit)]


def assign(tx: Tx, mac: Mac, wanted: Assignment, *, at: str) -> bool:
    """Replace what an operator set, and arm the machine anew; True when it was created.

    A save is the operator's word: the cycle starts from its beginning. With `ipxe-exit` the
    operator also vouches for what is on the disk.
    """
    values = (
        wanted.boot_mode.value,
        wanted.image_ref,
        wanted.target_disk_serial,
        wanted.sanboot_drive,
        wanted.own.wipe,
        wanted.own.verify,
        wanted.own.done,
        at,
    )
    vouched = wanted.boot_mode is BootMode.IPXE_EXIT
    changed = tx.run(
        "UPDATE machines SET boot_mode = ?, bty_image_ref = ?, target_disk_serial = ?,"
        " sanboot_drive = ?, flash_wipe = ?, flash_verify = ?, flash_done = ?, updated_at = ?,"
        " phase = 'idle', phase_at = ?, attempts = 0, ordered_at = NULL, silence_reported = 0,"
        " last_flashed_at = NULL,"
        " disk_suspect = CASE WHEN ? THEN 0 ELSE disk_suspect END WHERE mac = ?",
        *(*values, at, vouched, mac),
    )
    if not changed:
        tx.run(
            "INSERT INTO machines (boot_mode, bty_image_ref, target_disk_serial, sanboot_drive,"
            " flash_wipe, flash_verify, flash_done, updated_at, created_at, mac)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *(*values, at, mac),
        )
    set_labels(tx, mac, wanted.labels, at=at)
    tx.run("DELETE FROM machine_progress WHERE mac = ?", mac)
    tx.run("DELETE FROM machine_orders WHERE mac = ?", mac)
    if wanted.boot_mode in FLASH_MODES:
        tx.run("INSERT INTO machine_orders (mac, armed_at) VALUES (?, ?)", mac, at)
    return not changed


def set_labels(tx: Tx, mac: Mac, wanted: Iterable[str], *, at: str) -> None:
    """Replace the labels; the cycle goes on as it is."""
    tx.run("DELETE FROM machine_labels WHERE mac = ?", mac)
    for label in wanted:
        tx.run("INSERT INTO machine_labels (mac, label) VALUES (?, ?)", mac, label)
    tx.run("UPDATE machines SET updated_at = ? WHERE mac = ?", at, mac)
    tx.touch("machines")


def forget(tx: Tx, mac: Mac) -> bool:
    """Delete the record with its labels and progress; False when there is none."""
    tx.touch("machines")
    return tx.run("DELETE FROM machines WHERE mac = ?", mac) > 0


def set_phase(tx: Tx, mac: Mac, phase: Phase, *, at: str) -> None:
    """Enter `phase`. Entering IDLE begins a new cycle: no attempts, no order."""
    fresh = phase is Phase.IDLE
    tx.run(
        "UPDATE machines SET phase = ?, phase_at = ?,"
        " attempts = CASE WHEN ? THEN 0 ELSE attempts END,"
        " ordered_at = CASE WHEN ? THEN NULL ELSE ordered_at END WHERE mac = ?",
        *(phase.value, at, fresh, fresh, mac),
    )
    tx.touch("machines")


def arm(tx: Tx, mac: Mac, *, attempts: int, at: str) -> None:
    """The live environment is being fetched: the attempt of this number begins."""
    tx.run(
        "UPDATE machines SET phase = 'booted', phase_at = ?, attempts = ?, ordered_at = NULL,"
        " silence_reported = 0 WHERE mac = ?",
        *(at, attempts, mac),
    )
    tx.run("DELETE FROM machine_progress WHERE mac = ?", mac)
    tx.touch("machines")


def order_flash(tx: Tx, mac: Mac, *, at: str) -> None:
    """A flash was ordered: until it is proven, what is on the disk is not to be booted."""
    tx.run(
        "UPDATE machines SET ordered_at = ?, disk_suspect = 1, silence_reported = 0 WHERE mac = ?",
        *(at, mac),
    )
    tx.touch("machines")


def flashed(tx: Tx, mac: Mac, *, at: str) -> None:
    """A flash was proven."""
    tx.run(
        "UPDATE machines SET last_flashed_at = ?, ordered_at = NULL, disk_suspect = 0,"
        " silence_reported = 0 WHERE mac = ?",
        *(at, mac),
    )
    tx.run("DELETE FROM machine_progress WHERE mac = ?", mac)
    tx.touch("machines")


def booted(tx: Tx, mac: Mac, *, at: str) -> None:
    """Its system says that it is up."""
    tx.run("UPDATE machines SET booted_at = ?, silence_reported = 0 WHERE mac = ?", at, mac)
    tx.touch("machines")


def suspect_disk(tx: Tx, mac: Mac) -> None:
    """Something may have written half of the disk: it is not to be booted until it is proven."""
    tx.run("UPDATE machines SET disk_suspect = 1 WHERE mac = ?", mac)
    tx.touch("machines")


def flash_failed(tx: Tx, mac: Mac, *, at: str) -> None:
    """The attempt under way has failed; one that was never counted counts now."""
    tx.run(
        "UPDATE machines SET phase = 'failed', phase_at = ?, attempts = max(attempts, 1)"
        " WHERE mac = ?",
        *(at, mac),
    )
    tx.touch("machines")


def set_inventory(tx: Tx, mac: Mac, *, disks: str | None, lshw: str | None, at: str) -> None:
    """Store an inventory; `lshw` None keeps the tree that is there. Both are JSON text."""
    tx.run("UPDATE machines SET known_disks = ?, known_disks_at = ? WHERE mac = ?", disks, at, mac)
    if lshw is not None:
        tx.run("UPDATE machines SET hw_lshw = ?, hw_lshw_at = ? WHERE mac = ?", lshw, at, mac)
    tx.touch("machines")


def known_disks(tx: Tx, mac: Mac) -> str | None:
    """The stored disk list as JSON text, or None."""
    found = tx.value("SELECT known_disks FROM machines WHERE mac = ?", mac)
    return None if found is None else str(found)


def lshw(tx: Tx, mac: Mac) -> str | None:
    """The stored lshw tree as JSON text, or None."""
    found = tx.value("SELECT hw_lshw FROM machines WHERE mac = ?", mac)
    return None if found is None else str(found)


def set_progress(tx: Tx, mac: Mac, progress: Progress) -> None:
    """Remember what the live environment last said, and that it is alive."""
    tx.run(
        "INSERT INTO machine_progress (mac, at, phase, bytes_done, bytes_total, rate, error)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (mac) DO UPDATE SET at = excluded.at,"
        " phase = excluded.phase, bytes_done = excluded.bytes_done,"
        " bytes_total = excluded.bytes_total, rate = excluded.rate, error = excluded.error",
        *(mac, progress.at, progress.phase, progress.bytes_done, progress.bytes_total),
        *(progress.rate, progress.error),
    )
    tx.run("UPDATE machines SET silence_reported = 0 WHERE mac = ?", mac)
    tx.touch("machines")


def progress(tx: Tx, mac: Mac) -> Progress | None:
    """The last progress report of the attempt under way, or None."""
    row = tx.row(
        "SELECT at, phase, bytes_done, bytes_total, rate, error FROM machine_progress"
        " WHERE mac = ?",
        mac,
    )
    return Progress(*row) if row else None


def silent(tx: Tx, *, reporting_before: str, other_before: str) -> list[tuple[Machine, str]]:
    """Machines in the middle of a flash that were last heard of too long ago, not yet reported.

    Args:
        tx: the transaction.
        reporting_before: the limit for clients that send progress.
        other_before: the limit for those that do not.

    Returns:
        Each machine with the time it was last heard of.
    """
    columns = ", ".join(f"machines.{column.strip()}" for column in COLUMNS.split(","))
    sql = (
        f"SELECT {columns}, coalesce(machine_progress.at, ordered_at, phase_at) AS heard"
        " FROM machines LEFT JOIN machine_progress USING (mac)"
        " WHERE (machines.phase = 'booted' OR (machines.phase = 'idle' AND ordered_at IS NOT NULL))"
        " AND silence_reported = 0"
        " AND boot_mode IN ('bty-flash-once', 'bty-flash-always')"
        " AND heard < CASE WHEN machine_progress.at IS NULL THEN ? ELSE ? END"
    )
    return [
        (machine_of(row[:-1]), str(row[-1])) for row in tx.rows(sql, other_before, reporting_before)
    ]


def never_up(tx: Tx, *, flashed_before: str) -> list[Machine]:
    """Machines whose system has not said that it is up since a flash before then, not yet reported;
    of those alone whose flash is done by that word.
    """
    sql = (
        f"SELECT {COLUMNS} FROM machines WHERE {UNPROVEN}"
        " AND last_flashed_at < ? AND silence_reported = 0"
    )
    return [machine_of(row) for row in tx.rows(sql, flashed_before)]


def set_silence_reported(tx: Tx, mac: Mac) -> None:
    """The silence of this attempt has its event."""
    tx.run("UPDATE machines SET silence_reported = 1 WHERE mac = ?", mac)


def machine_of(row: Row) -> Machine:
    """The record in a row of `COLUMNS`."""
    values = [*row[:18], OwnOptions(*row[18:21]), row[21], bool(row[22])]
    values[5] = BootMode(row[5])
    values[13] = Phase(row[13])
    values[14] = datetime.fromisoformat(row[14]) if row[14] else None
    values[17] = bool(row[17])
    return Machine(*values)

"""The way of a bundle into the database: staged in a file of its own, then one short transaction.

The live database is touched only when every machine of the bundle has been read and checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import apsw

from bty_app.domain.bundle import HardwareRecord
from bty_app.store import publish, sqlite
from bty_app.store.database import Row, Tx
from bty_app.store.transaction import transaction

_SCRATCH = "import"
_BATCH_SIZE = 4 * 1024 * 1024  # characters; one machine may have more
_STAGED = (
    "CREATE TABLE {schema}.staged (mac TEXT NOT NULL PRIMARY KEY, known_disks TEXT,"
    " known_disks_at TEXT, hw_lshw TEXT, hw_lshw_at TEXT) STRICT"
)
_INSERT = "INSERT INTO {schema}.staged VALUES (?, ?, ?, ?, ?)"
# Known beats unknown, then the newer one wins; the same record again changes nothing.
_NEWER = (
    "(s.{0} IS NOT NULL AND (s.{0} IS NOT m.{0} OR s.{0}_at IS NOT m.{0}_at)"
    " AND (m.{0} IS NULL OR coalesce(s.{0}_at, '') > coalesce(m.{0}_at, '')))"
)
_VERDICT = (
    "SELECT s.mac AS mac, m.mac IS NOT NULL AS known, m.bty_image_ref IS NOT NULL AS bound,"
    f" {_NEWER.format('known_disks')} AS disks, {_NEWER.format('hw_lshw')} AS lshw"
    " FROM bundle.staged AS s LEFT JOIN main.machines AS m ON m.mac = s.mac"
)
_COUNTS = (
    "SELECT count(*) FILTER (WHERE NOT known), count(*) FILTER (WHERE known AND (disks OR lshw)),"
    " count(*) FILTER (WHERE known), count(*) FILTER (WHERE bound) FROM "
)
_DISKS = ("known_disks", "known_disks_at")
_LSHW = ("hw_lshw", "hw_lshw_at")


_Staged = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Effect:
    """What a bundle does to the machines: `known` are here already, `bound` of them to an image."""

    new: int = 0
    updated: int = 0
    known: int = 0
    bound: int = 0

    def __add__(self, other: Effect) -> Effect:
        return Effect(
            self.new + other.new,
            self.updated + other.updated,
            self.known + other.known,
            self.bound + other.bound,
        )


@contextmanager
def staged(state_dir: Path, records: Iterable[HardwareRecord]) -> Iterator[Path]:
    """A scratch file with all of `records`, gone after the block.

    Raises:
        StorageError: it cannot be written.
    """
    with publish.scratch_directory(state_dir, _SCRATCH) as scratch:
        path = scratch / "bundle.db"
        publish.write_file(path, b"")
        try:
            connection = sqlite.connect(path, flags=apsw.SQLITE_OPEN_READWRITE)
            try:
                connection.pragma("journal_mode", "memory")
                connection.pragma("synchronous", 0)
                connection.execute(_STAGED.format(schema="main"))
                with connection:
                    connection.executemany(_INSERT.format(schema="main"), _rows(records))
            finally:
                connection.close()
        except apsw.Error as error:
            raise sqlite.translated(error) from error
        yield path


def preview(state_db: Path, records: Iterable[HardwareRecord]) -> Effect:
    """What `records` would do to the database, or to a fresh one where there is none.

    Raises:
        StorageError: the database cannot be read.
    """
    try:
        connection = _previewing(state_db)
        try:
            connection.execute("ATTACH ':memory:' AS bundle")
            connection.execute(_STAGED.format(schema="bundle"))
            effect = Effect()
            for batch in _batches(_rows(records)):
                connection.executemany(_INSERT.format(schema="bundle"), batch)
                effect += _counts(connection)
                connection.execute("DELETE FROM bundle.staged")
            return effect
        finally:
            connection.close()
    except apsw.Error as error:
        raise sqlite.translated(error) from error


@contextmanager
def importing(state_db: Path, scratch: Path) -> Iterator[Tx]:
    """One transaction on the live database that sees the scratch file; committed at the end.

    Raises:
        ConflictError: another program kept the database to itself.
        StorageError: it could not be made durable; nothing of it stays.
    """
    try:
        connection = sqlite.writable(state_db)
        try:
            connection.execute("ATTACH ? AS bundle", (str(scratch),))
            with transaction(connection) as tx:
                yield tx
        finally:
            connection.close()
    except apsw.Error as error:
        raise sqlite.translated(error) from error


def take_over(tx: Tx, *, at: str, reset_existing: bool) -> Effect:
    """Put the staged machines into place; what comes back counts what was found before."""
    # In memory, and without the large columns: a statement that read the table it changes would
    # first copy all of them there.
    tx.run(
        "CREATE TEMP TABLE verdict (mac TEXT PRIMARY KEY, known INT, bound INT, disks INT,"
        " lshw INT) WITHOUT ROWID"
    )
    tx.run(f"INSERT INTO temp.verdict {_VERDICT} ORDER BY s.mac")
    if reset_existing:
        _reset(tx, at)
    else:
        _update(tx, at)
    tx.run(
        "INSERT INTO main.machines (mac, boot_mode, created_at, updated_at, known_disks,"
        " known_disks_at, hw_lshw, hw_lshw_at)"
        " SELECT mac, 'bty-inventory', ?, ?, known_disks, known_disks_at, hw_lshw, hw_lshw_at"
        " FROM temp.verdict JOIN bundle.staged USING (mac) WHERE NOT known ORDER BY mac",
        *(at, at),
    )
    tx.touch("machines")
    return _effect(tx.row(_COUNTS + "temp.verdict"))


def _update(tx: Tx, at: str) -> None:
    for columns, which in (
        (_DISKS + _LSHW, "disks AND lshw"),
        (_DISKS, "disks AND NOT lshw"),
        (_LSHW, "lshw AND NOT disks"),
    ):
        tx.run(
            f"UPDATE OR ROLLBACK main.machines SET {_from_bundle(columns)}, updated_at = ?"
            f" WHERE mac IN (SELECT mac FROM temp.verdict WHERE known AND {which})",
            at,
        )


def _reset(tx: Tx, at: str) -> None:
    """As the original imports; only the mark of an unproven flash stays: the disk is what it is."""
    known = "mac IN (SELECT mac FROM temp.verdict WHERE known)"
    for table in ("machine_labels", "machine_progress"):
        tx.run(f"DELETE FROM main.{table} WHERE {known}")
    tx.run(
        "UPDATE OR ROLLBACK main.machines SET boot_mode = 'bty-inventory', bty_image_ref = NULL,"
        " discovered_at = NULL, last_seen_at = NULL, last_seen_ip = NULL, sanboot_drive = NULL,"
        " last_flashed_at = NULL, target_disk_serial = NULL, flash_wipe = NULL,"
        " flash_verify = NULL, flash_done = NULL, booted_at = NULL, created_at = ?,"
        " updated_at = ?, phase = 'idle', phase_at = NULL, attempts = 0, ordered_at = NULL,"
        " silence_reported = 0,"
        f" {_from_bundle(_DISKS + _LSHW)} WHERE {known}",
        *(at, at),
    )


def _from_bundle(columns: tuple[str, ...]) -> str:
    names = ", ".join(columns)
    return f"({names}) = (SELECT {names} FROM bundle.staged AS s WHERE s.mac = machines.mac)"


def _previewing(state_db: Path) -> apsw.Connection:
    if state_db.exists():
        return sqlite.connect(state_db, flags=apsw.SQLITE_OPEN_READWRITE)
    connection = apsw.Connection(":memory:")
    connection.execute(
        "CREATE TABLE machines (mac, bty_image_ref, known_disks, known_disks_at,"
        " hw_lshw, hw_lshw_at)"
    )
    return connection


def _counts(connection: apsw.Connection) -> Effect:
    return _effect(connection.execute(f"{_COUNTS} ({_VERDICT})").fetchone())


def _effect(row: Row | None) -> Effect:
    return Effect(*map(int, row or ()))


def _batches(rows: Iterable[_Staged]) -> Iterator[list[_Staged]]:
    batch: list[_Staged] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += sum(len(text or "") for text in row)
        if size >= _BATCH_SIZE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _rows(records: Iterable[HardwareRecord]) -> Iterator[_Staged]:
    for record in records:
        yield (
            record.mac,
            record.known_disks,
            record.known_disks_at,
            record.hw_lshw,
            record.hw_lshw_at,
        )

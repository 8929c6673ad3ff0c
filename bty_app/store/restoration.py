"""The rows of a backup become those of the live database, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import apsw

from bty_app.domain.events import CHAIN_START
from bty_app.domain.restoring import Wanted
from bty_app.errors import StorageError
from bty_app.store import creation, hardware, instance, replicated, restore_plan, sqlite
from bty_app.store.database import ALL_TOPICS, Tx
from bty_app.store.restore_plan import COLUMNS, target
from bty_app.store.restore_source import attach, uri_connection
from bty_app.store.transaction import transaction

T = TypeVar("T")
_FOLLOWING = ("boot_stages", "hardware_history")  # their rows get new numbers
_CARRIED_IDENTITY = ("instance_id", "rotations", "chain_start")


@contextmanager
def looking(state_db: Path | None, copy: Path) -> Iterator[Tx]:
    """One view of the live database and of `copy`; without a `state_db`, of one that is empty.

    Raises:
        StorageError: one of them cannot be read.
    """
    try:
        connection = uri_connection(state_db) if state_db else _empty()
        try:
            sqlite.adapt(connection)
            attach(connection, copy)
            with hardware.snapshot(connection):
                yield Tx(connection)
        finally:
            connection.close()
    except apsw.Error as error:
        raise sqlite.translated(error) from error


@contextmanager
def reading(state_db: Path) -> Iterator[Tx]:
    """One view of the live database.

    Raises:
        StorageError: it cannot be read.
    """
    with hardware.opened(state_db) as connection, hardware.snapshot(connection):
        yield Tx(connection)


@contextmanager
def restoring(state_db: Path, copy: Path) -> Iterator[Tx]:
    """One transaction on the live database that sees `copy`; committed at the end.

    Raises:
        ConflictError: another program kept the database to itself.
        StorageError: it could not be made durable; nothing of it stays.
    """
    with _transaction(state_db, copy) as tx:
        yield tx


@contextmanager
def writing(state_db: Path) -> Iterator[Tx]:
    """One transaction on the live database, beside whoever has it open.

    Raises:
        ConflictError: another program kept the database to itself.
        StorageError: it could not be made durable; nothing of it stays.
    """
    with _transaction(state_db, None) as tx:
        yield tx


@contextmanager
def _transaction(state_db: Path, copy: Path | None) -> Iterator[Tx]:
    try:
        connection = uri_connection(state_db)
        try:
            sqlite.adapt(connection)
            connection.pragma("synchronous", 3)  # EXTRA
            replicated.bound_log(connection, state_db)
            if copy is not None:
                attach(connection, copy)
            with transaction(connection) as tx:
                yield tx
        finally:
            connection.close()
    except apsw.Error as error:
        raise sqlite.translated(error) from error


def build(state_db: Path, copy: Path, *, version: str, at: str, fill: Callable[[Tx], T]) -> T:
    """Make the successor of `state_db` beside it, with the identity and the audit log of `copy`.

    Args:
        state_db: its name; nothing takes that here.
        copy: what is put back.
        version: the running release.
        at: when, as the database spells moments.
        fill: puts the rows in; its result is returned.

    Raises:
        StorageError: it cannot be written; nothing stays.
    """
    new = creation.unfinished(state_db)
    creation.remove_unfinished(new)
    creation.build_fresh(new, version=version, at=at)
    try:
        with restoring(new, copy) as tx:
            _take_identity(tx)
            result = fill(tx)
        _check(new)
    except BaseException as error:
        creation.remove_unfinished(new)
        if isinstance(error, apsw.Error):
            raise sqlite.translated(error) from error
        raise
    return result


def apply(tx: Tx, wanted: Wanted, *, at: str) -> None:
    """Do what the plan of `restore_plan.make` says."""
    if not wanted.macs:
        tx.run("DELETE FROM main.machines WHERE mac IN (SELECT mac FROM temp.plan"
               " WHERE kind = 'removed')")  # fmt: skip
        for table in restore_plan.keyed_tables(tx):
            _replace_rows(tx, table)
        if wanted.with_tokens:
            _take_tokens(tx)
    _update(tx, at)
    _insert(tx, at)
    _labels(tx)
    _follow(tx)
    for topic in ALL_TOPICS:
        tx.touch(topic)


def _update(tx: Tx, at: str) -> None:
    names = ", ".join(c for c in COLUMNS if c not in {"mac", "updated_at"})
    values = ", ".join(target(c, "machines.") for c in COLUMNS if c not in {"mac", "updated_at"})
    changed = [row[0] for row in tx.rows("SELECT mac FROM temp.plan WHERE kind = 'changed'")]
    # One by one: a statement over all would first copy every record into memory.
    for mac in changed:
        tx.run(
            f"UPDATE main.machines SET updated_at = ?, ({names}) = (SELECT {values}"
            " FROM backup.machines AS b, temp.plan AS p WHERE b.mac = machines.mac"
            " AND p.mac = machines.mac) WHERE mac = ?",
            at,
            mac,
        )


def _insert(tx: Tx, at: str) -> None:
    values = ", ".join("?" if c == "updated_at" else target(c, "") for c in COLUMNS)
    tx.run(
        f"INSERT INTO main.machines ({', '.join(COLUMNS)}) SELECT {values}"
        " FROM temp.plan AS p JOIN backup.machines AS b ON b.mac = p.mac WHERE p.kind = 'added'"
        " ORDER BY p.mac",
        at,
    )


def _labels(tx: Tx) -> None:
    touched = "SELECT mac FROM temp.plan WHERE kind IN ('added', 'changed')"
    tx.run(
        f"DELETE FROM main.machine_labels WHERE mac IN ({touched}) AND (mac, label) NOT IN"
        " (SELECT mac, label FROM backup.machine_labels)"
    )
    tx.run(
        "INSERT OR IGNORE INTO main.machine_labels (mac, label)"
        f" SELECT mac, label FROM backup.machine_labels WHERE mac IN ({touched})"
    )


def _follow(tx: Tx) -> None:
    """What belongs to a cycle goes with it; the past comes back with a machine that was gone."""
    for table in ("machine_progress", "machine_orders"):
        tx.run(
            f"DELETE FROM main.{table} WHERE mac IN"
            " (SELECT mac FROM temp.plan WHERE kind = 'changed' AND NOT same)"
        )
        tx.run(
            f"INSERT INTO main.{table} SELECT b.* FROM backup.{table} AS b JOIN temp.plan AS p"
            " ON p.mac = b.mac WHERE p.kind IN ('added', 'changed') AND NOT p.same"
            " AND NOT p.disarm"
        )
    for table in _FOLLOWING:
        found = tx.rows("SELECT name FROM pragma_table_info(?) WHERE name <> 'id'", table)
        names = ", ".join(str(row[0]) for row in found)
        tx.run(
            f"INSERT INTO main.{table} ({names}) SELECT {names} FROM backup.{table}"
            " WHERE mac IN (SELECT mac FROM temp.plan WHERE kind = 'added') ORDER BY id"
        )


def _replace_rows(tx: Tx, table: restore_plan.Keyed) -> None:
    differs = " OR ".join(f"b.{c} IS NOT {table.name}.{c}" for c in table.differing)
    tx.run(
        f"DELETE FROM main.{table.name} WHERE {table.wanted} AND ({table.key} NOT IN"
        f" (SELECT {table.key} FROM backup.{table.name}) OR EXISTS (SELECT 1"
        f" FROM backup.{table.name} AS b WHERE b.{table.key} = {table.name}.{table.key}"
        f" AND ({differs})))"
    )
    names = ", ".join(table.columns)
    tx.run(
        f"INSERT INTO main.{table.name} ({names}) SELECT {names} FROM backup.{table.name}"
        f" WHERE {table.wanted} AND {table.key} NOT IN"
        f" (SELECT {table.key} FROM main.{table.name}) ORDER BY rowid"
    )


def _take_tokens(tx: Tx) -> None:
    tx.run(
        "INSERT INTO main.api_tokens SELECT * FROM backup.api_tokens WHERE id NOT IN"
        " (SELECT id FROM main.api_tokens) AND name NOT IN (SELECT name FROM main.api_tokens)"
    )


def _take_identity(tx: Tx) -> None:
    """A database made anew goes on as the one in the backup: its id, its audit log."""
    for key in _CARRIED_IDENTITY:
        value = tx.value("SELECT value FROM backup.bty_instance WHERE key = ?", key)
        if value is not None:
            instance.put(tx, key, str(value))
        elif key == "chain_start":
            instance.put(tx, key, CHAIN_START)
    tx.run("INSERT INTO main.events SELECT * FROM backup.events ORDER BY id")


def _check(new: Path) -> None:
    connection = sqlite.connect(new, flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        found = " ".join(str(connection.pragma("quick_check")).split())
    finally:
        connection.close()
    if found != "ok":
        raise StorageError(f"the database just written does not read back whole ({found[:80]})")


def _empty() -> apsw.Connection:
    connection = apsw.Connection(
        ":memory:",
        flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI,
    )
    connection.pragma("temp_store", 2)
    connection.execute(creation.schema())
    return connection

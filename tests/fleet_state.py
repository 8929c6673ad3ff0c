"""A state directory with a fleet in it, its tables as plain data, and backups of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw

from bty_app import __version__
from bty_app.domain.catalog_events import By
from bty_app.domain.events import Actor, Event, Kind
from bty_app.domain.mac import Mac
from bty_app.domain.machine import Assignment, BootMode, Serial
from bty_app.services.backup_files import BackupPlan, write_backup
from bty_app.services.restore import Restore
from bty_app.store import events, machines, settings
from bty_app.store.database import Database, Tx
from tests.fresh_state import make_state

BEGIN = datetime(2026, 11, 22, 19, 7, 18, 570473, tzinfo=UTC)
AT = BEGIN.isoformat()
BY = By(Actor.OPERATOR, "192.0.2.7")
REF = "a" * 64
OTHER_REF = "b" * 64
# Columns that a restore leaves as they are now, or sets.
NOT_COMPARED = {"updated_at", "last_seen_at", "last_seen_ip", "disk_suspect"}


class Clock:
    """A second later at each look."""

    def __init__(self) -> None:
        self.moment = BEGIN

    def __call__(self) -> datetime:
        self.moment += timedelta(seconds=1)
        return self.moment


def mac(number: int) -> Mac:
    """The MAC of the machine of this number."""
    return Mac(f"52:54:00:00:{number >> 8:02x}:{number & 255:02x}")


class Fleet:
    """`state.db` in a directory, changed without a server."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.backups = place / "backups"
        self.clock = Clock()
        self.restore = Restore(place, self.backups, version=__version__, clock=self.clock)

    @property
    def state_db(self) -> Path:
        """The database."""
        return self.place / "state.db"

    def make(self) -> Fleet:
        """Begin with an empty database."""
        make_state(self.place)
        return self

    def write(self, *changes: object) -> None:
        """Run each function of a transaction."""
        with Database(self.state_db) as database:
            for change in changes:
                database.write(change)  # type: ignore[arg-type]

    def sql(self, text: str, *values: object) -> None:
        """Run one statement."""
        self.write(lambda tx: tx.run(text, *values))

    def back_up(self, backup_id: str = "backup") -> Path:
        """Back it up."""
        plan = BackupPlan(backup_id, "manual", __version__, self.clock())
        return write_backup(self.state_db, self.backups, plan).path

    def rows(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        """What a query finds."""
        return rows(self.state_db, sql, *values)


def rows(state_db: Path, sql: str, *values: object) -> list[tuple[object, ...]]:
    """What a query finds in a database that nobody writes to."""
    connection = apsw.Connection(str(state_db))
    found = [tuple(row) for row in connection.execute(sql, values)]
    connection.close()
    return found


def bind(
    number: int,
    mode: BootMode = BootMode.IPXE_EXIT,
    *,
    ref: str | None = REF,
    labels: Iterable[str] = (),
    serial: str = "S",
) -> object:
    """An operator saves a machine."""
    disk = Serial(serial) if serial else None
    wanted = Assignment(mode, ref, disk, None, tuple(sorted(labels)), labels_given=True)

    def change(tx: Tx) -> None:
        machines.assign(tx, mac(number), wanted, at=AT)
        events.record(tx, Event(Kind.MACHINE_UPSERTED, Actor.OPERATOR, f"{number}"), at=AT)

    return change


def phase(number: int, name: str) -> object:
    """A box goes on in its cycle."""

    def change(tx: Tx) -> None:
        tx.run(
            "UPDATE machines SET phase = ?, phase_at = ?, last_seen_at = ? WHERE mac = ?",
            *(name, AT, AT, mac(number)),
        )

    return change


def forget(number: int) -> object:
    """An operator forgets a machine."""
    return lambda tx: machines.forget(tx, mac(number))


def seen(number: int, hardware: str = "[]") -> object:
    """A box reports itself."""

    def change(tx: Tx) -> None:
        machines.seen(tx, mac(number), at=AT, ip="192.0.2.9")
        machines.set_inventory(tx, mac(number), disks=hardware, lshw=None, at=AT)

    return change


def setting(key: str, value: str) -> object:
    """An operator changes a setting."""
    return lambda tx: settings.put(tx, key, value, at=AT)


def image(ref: str, name: str) -> object:
    """An image stands in the catalog."""

    def change(tx: Tx) -> None:
        tx.run(
            "INSERT OR REPLACE INTO catalog_entries (bty_image_ref, src, name, added_at)"
            " VALUES (?, ?, ?, ?)",
            *(ref, f"http://192.0.2.1/{ref[:4]}", name, AT),
        )

    return change


def tables(state_db: Path) -> dict[str, list[tuple[object, ...]]]:
    """All that a restore puts back, without what it leaves as it is (`NOT_COMPARED`)."""
    connection = apsw.Connection(str(state_db))
    found = {}
    for name, without in (
        ("machines", NOT_COMPARED),
        ("machine_labels", set()),
        ("catalog_entries", set()),
        ("settings", {"updated_at"}),
        ("machine_orders", set()),
        ("machine_progress", set()),
        ("boot_stages", {"id"}),
        ("hardware_history", {"id"}),
    ):
        known = connection.execute("SELECT name FROM pragma_table_info(?)", (name,))
        names = ", ".join(str(row[0]) for row in known if row[0] not in without)
        found[name] = [tuple(r) for r in connection.execute(f"SELECT {names} FROM {name}")]
        found[name].sort(key=repr)
    connection.close()
    return found

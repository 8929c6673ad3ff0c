"""The fresh database that follows an old one: what it takes over, and what it tells of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import apsw

from bty_app.domain.events import CHAIN_START, Actor, Event, Kind, Subject
from bty_app.domain.moments import stamp
from bty_app.domain.rotation import archive_name, counted
from bty_app.errors import StorageError
from bty_app.store import carry_over, events, instance, swap
from bty_app.store.carry_over import Carried
from bty_app.store.creation import build_fresh, unfinished
from bty_app.store.database import Tx
from bty_app.store.old_database import DamagedError, OldDatabase, full_disk


@dataclass(frozen=True, slots=True)
class Succession:
    """One database follows another. `old` is proven sound and nobody else's."""

    old: OldDatabase
    from_version: str
    to_version: str
    now: datetime
    backup_id: str | None
    left: Path | None = None  # the archive of the running release that nobody goes back to

    def archive(self) -> Path:
        """Where the old file will be: a free name, or the one that a cut-off start gave it.

        Raises:
            OSError: the directory cannot be read.
        """
        path = self.old.path
        given = swap.second_names(path)
        if given:
            return given[0]
        taken = {entry.name for entry in path.parent.iterdir()}
        return path.with_name(archive_name(self.from_version, self.now, taken))

    def build(self, archive: Path) -> Carried:
        """Build the fresh database beside the old one, whole and durable.

        Raises:
            StorageError: the disk refused; nothing was changed.
            DamagedError: the old database could not be read.
        """
        result: list[Carried] = []

        def fill(new: apsw.Connection) -> None:
            result.append(self._fill(new, archive))

        chain_start = carry_over.last_chain_value(self.old.connection) or CHAIN_START
        try:
            build_fresh(
                unfinished(self.old.path),
                version=self.to_version,
                at=stamp(self.now),
                chain_start=chain_start,
                fill=fill,
            )
        except StorageError as error:
            if isinstance(error.__cause__, apsw.FullError):
                raise StorageError(full_disk(self.old.path)) from error
            raise
        return result[0]

    def _fill(self, new: apsw.Connection, archive: Path) -> Carried:
        at = stamp(self.now)
        try:
            carried = carry_over.carry_over(self.old.connection, new, at=at)
        except apsw.CorruptError as error:  # of the two, only the old one can be
            raise DamagedError(f"{self.old.path.name} is damaged ({error})") from error
        tx = Tx(new)
        instance_id, rotations = carry_over.identity(self.old.connection)
        if instance_id:
            instance.put(tx, "instance_id", instance_id)
        instance.put(tx, "rotations", str(rotations + 1))
        instance.put(tx, swap.PREDECESSOR, archive.name)
        if self.backup_id:
            events.record(tx, backed_up(self.backup_id), at=at)
        events.record(tx, self._event(archive, carried), at=at)
        return carried

    def _event(self, archive: Path, carried: Carried) -> Event:
        status = self.old.path.stat()
        return Event(
            Kind.SCHEMA_RESET,
            Actor.SYSTEM,
            f"The database of {self.from_version} is archived as {archive.name}, and a fresh one"
            f" for {self.to_version} has the hardware of {counted(carried.machines)}."
            f" Next: bind the machines again; the archive holds the rest{self._left()}",
            details={
                "from_version": self.from_version,
                "to_version": self.to_version,
                "archived_at": str(archive),
                "archived_inode": status.st_ino,
                "archived_bytes": status.st_size,
                "archived_chain": carry_over.last_chain_value(self.old.connection),
                "quick_check": "ok",
                "rows": carry_over.row_counts(self.old.connection),
                "carried": {
                    "machines": carried.machines,
                    "machines_skipped": carried.skipped,
                    "settings": list(carried.settings),
                },
                "backup_id": self.backup_id,
                "left": self.left.name if self.left else None,
            },
        )

    def _left(self) -> str:
        """Where the state from before the upgrade is, where it is not put back."""
        if self.left is None:
            return ""
        return (
            f". What {self.to_version} knew before the upgrade is in {self.left.name}: it does not"
            f" come back by itself, since operators have worked with {self.from_version}"
        )


def backed_up(backup_id: str) -> Event:
    """The backup that preceded an archiving."""
    return Event(
        Kind.BACKUP_CREATED,
        Actor.SYSTEM,
        f"Backup {backup_id} was taken before the database was archived",
        Subject("backup", backup_id),
        details={"backup_id": backup_id, "trigger": "pre-upgrade"},
    )

"""The archives that upgrades have left: how many they are, how large, and removed by hand alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bty_app.domain import archive_events
from bty_app.domain.catalog_events import By
from bty_app.domain.moments import stamp
from bty_app.domain.rotation import is_archive_name, moment_in
from bty_app.errors import BtyError, NotFoundError, StorageError, ValidationError
from bty_app.services.audit import record_if_possible
from bty_app.services.clock import Clock, utc_now
from bty_app.services.recover import Recover
from bty_app.store import events, hardware
from bty_app.store.creation import exists
from bty_app.store.database import Database, Tx
from bty_app.store.place import size_of, sync_directory
from bty_app.store.version import stored_version

MANY = 5
LARGE_BYTES = 1024**3
MOST_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class OldDatabase:
    """An archive. `moment` is of its name; `waiting` bindings are in it, None where it cannot be
    read; `is_newest`: the release that wrote it goes back to it.
    """

    name: str
    version: str
    moment: str
    size: int
    waiting: int | None
    is_newest: bool = False

    def as_data(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "name": self.name,
            "version": self.version,
            "archived_at": self.moment,
            "bytes": self.size,
            "bindings": self.waiting,
            "newest": self.is_newest,
        }


def room_of(state_dir: Path) -> tuple[int, int]:
    """How many archives there are, and how many bytes they take.

    Raises:
        OSError: the directory cannot be read.
    """
    found = [path for path in state_dir.iterdir() if is_archive_name(path.name)]
    return len(found), sum(size_of(path) for path in found)


class OldDatabases:
    """Any thread may call."""

    def __init__(self, recover: Recover, database: Database, clock: Clock = utc_now) -> None:
        self._recover = recover
        self._database = database
        self._state_dir = database.path.parent
        self._clock = clock

    def listed(self) -> list[OldDatabase]:
        """All of them, the newest first.

        Raises:
            StorageError: the directory cannot be read.
        """
        names = self._recover.archives()
        return [self._looked_at(name, is_newest=name == names[0]) for name in names]

    def chosen(self, names: Iterable[str]) -> list[OldDatabase]:
        """Those of these names, the newest first.

        Raises:
            ValidationError: none was chosen, or too many.
            NotFoundError: there is none of such a name.
        """
        wanted = frozenset(names)
        if not wanted:
            raise ValidationError("choose the old databases that are to go")
        if len(wanted) > MOST_AT_ONCE:
            raise ValidationError(f"at most {MOST_AT_ONCE} at once")
        found = [row for row in self.listed() if row.name in wanted]
        if missing := wanted - {row.name for row in found}:
            raise NotFoundError(f"there is no archive {min(missing)[:80]!r}")
        return found

    def remove(self, names: Iterable[str], by: By) -> list[OldDatabase]:
        """Remove them for good, with one row of the audit log.

        Raises:
            ValidationError, NotFoundError: as `chosen`; nothing was removed.
            MovedError: this appliance is being moved, or has moved.
            StorageError: the disk refused; some may be gone, and a look shows which.
        """
        gone = self.chosen(names)
        event = archive_events.removed(
            [row.name for row in gone], sum(row.size for row in gone), by
        )

        def change(tx: Tx) -> None:
            events.record(tx, event, at=stamp(self._clock()))
            try:
                for row in gone:
                    self._recover.path_of(row.name).unlink()
                sync_directory(self._state_dir)
            except OSError as error:
                raise StorageError(f"{error.filename}: {error.strerror}") from error

        try:
            self._database.write(change)
        except StorageError as error:
            self._not_removed(gone, error, by)
            raise
        return gone

    def _not_removed(self, wanted: Sequence[OldDatabase], error: StorageError, by: By) -> None:
        """What the disk took before it refused is gone, and the row of that is not there."""
        names = [row.name for row in wanted]
        gone = [name for name in names if not exists(self._state_dir / name)]
        event = archive_events.remove_failed(names, gone, error.message, by)
        record_if_possible(self._database, event, at=stamp(self._clock()))

    def _looked_at(self, name: str, *, is_newest: bool) -> OldDatabase:
        path = self._state_dir / name
        try:
            waiting = self._recover.waiting(name)
            with hardware.opened_archive(path) as archive:
                version = stored_version(archive) or "unknown"
        except BtyError:
            waiting, version = None, "unknown"
        return OldDatabase(name, version, moment_in(name), size_of(path), waiting, is_newest)

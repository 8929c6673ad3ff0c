"""The whole copy of another appliance becomes the appliance of this host, its database last."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from bty_app.domain import migration_events
from bty_app.domain.migration import ARRIVING, Mark, parse_mark
from bty_app.domain.moments import stamp
from bty_app.errors import ConflictError, NotFoundError
from bty_app.services.clock import Clock
from bty_app.services.departure import CATALOG, CATALOG_SOURCE, SECRETS
from bty_app.store import creation, events, instance, machines, publish
from bty_app.store.backup_shelf import STATE
from bty_app.store.database import Database
from bty_app.store.directories import disk_failures, temporary_name
from bty_app.store.place import sync_directory
from bty_app.store.transaction import settling

WHOLE = "whole.json"  # the copy is complete: whose it is, and the digest of its database
_FROM = "moved_here_from"


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are on this host."""

    state_dir: Path
    boot_dir: Path
    catalog_file: Path


def targets(places: Places) -> dict[str, Path]:
    """Where the small files of a copy go."""
    catalog = places.catalog_file
    return {name: places.state_dir / name for name in SECRETS} | {
        CATALOG: catalog,
        CATALOG_SOURCE: catalog.with_name(catalog.name + ".source"),
    }


def whole(stage: Path) -> Mark | None:
    """Whose copy is complete in `stage`; None while it is not."""
    try:
        return parse_mark((stage / WHOLE).read_bytes())
    except OSError:
        return None


class Publication:
    """Gives everything its name; each step may be done again."""

    def __init__(self, places: Places, clock: Clock) -> None:
        self._places = places
        self._clock = clock
        self._stage = places.state_dir / ARRIVING

    def run(self) -> int:
        """Do it; return how many machines came. Call it with `serve.lock` held.

        Raises:
            NotFoundError: there is no whole copy.
            ConflictError: there is a database here already.
            StorageError: the disk refused; do it again.
        """
        mark = whole(self._stage)
        if mark is None:
            raise NotFoundError(f"{self._stage}: there is no whole copy of another appliance")
        state_db, staged = self._places.state_dir / STATE, self._stage / STATE
        if staged.exists() and state_db.exists():
            raise ConflictError(f"{state_db}: exists already, and is left as it is: move it away")
        for name, path in targets(self._places).items():
            if (self._stage / name).exists():
                publish.publish_file(path, (self._stage / name).read_bytes())
        if staged.exists():
            self._record(staged, mark)
            creation.publish(staged, state_db)
        with Database(state_db) as database:
            known = database.read(machines.count_all)
        self._finished()
        return known

    def _finished(self) -> None:
        """Take the stage away, in one step: half of one is no copy that a next run could take."""
        with disk_failures(self._stage):
            left = self._stage.with_name(temporary_name(ARRIVING))
            self._stage.rename(left)
            sync_directory(left.parent)
            shutil.rmtree(left, ignore_errors=True)  # the next start sweeps it

    def _record(self, staged: Path, mark: Mark) -> None:
        at, source = stamp(self._clock()), f"{mark.to} {mark.copy}"

        with settling(staged) as tx:
            if instance.get(tx, _FROM) != source:
                instance.put(tx, _FROM, source)
                event = migration_events.arrived(mark.to, machines.count_all(tx))
                events.record(tx, event, at=at)

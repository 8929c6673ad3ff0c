"""Backups of the state directory of this host."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bty_app.cli.backup_parts import looked_through
from bty_app.cli.reach.backups import Data
from bty_app.config import Config
from bty_app.domain.backups import MANUAL, PRE_UPGRADE
from bty_app.domain.catalog_events import By
from bty_app.domain.events import Actor
from bty_app.domain.jobs import Teller
from bty_app.errors import BtyError
from bty_app.services.backup_data import backup_data
from bty_app.services.backups import Backups, Created, Order

_OPERATOR = By(Actor.OPERATOR, None)


@contextmanager
def opened(config: Config, directory: Path | None = None) -> Iterator[Here]:
    """The backups, in `directory` where that is given, for as long as the block lasts."""
    with looked_through(config, directory) as (backups, problem):
        yield Here(backups, problem)


class Here:
    """Through the service. With a `problem` the database cannot be read: they are only shown."""

    def __init__(self, backups: Backups, problem: BtyError | None = None) -> None:
        self._backups = backups
        self._problem = problem

    def _check(self) -> None:
        if self._problem is not None:
            raise self._problem

    def _note(self) -> None:
        if self._problem is not None:
            sys.stderr.write(f"without the database: {self._problem.message}\n")

    @property
    def place(self) -> str:
        return str(self._backups.shelf.directory)

    def create(
        self, teller: Teller, *, bundle_alone: bool, wait_seconds: float, trigger: str = MANUAL
    ) -> Data:
        include = False if bundle_alone else None
        include = True if trigger == PRE_UPGRADE else include  # a way back needs all of it
        order = Order(trigger, include_state=include, wait_seconds=wait_seconds)
        return self.ordered(order, teller)

    def ordered(self, order: Order, teller: Teller) -> dict[str, object]:
        """Make the one that is wanted."""
        self._check()
        return _created(self._backups.create(order, teller))

    def every(self) -> list[Data]:
        self._note()
        return [
            self._data(row.backup.id) | {"stays": row.stays, "reason": row.reason}
            for row in self._backups.listed()
        ]

    def find(self, backup_id: str) -> Data:
        self._note()
        return self._data(backup_id)

    def pin(self, backup_id: str, *, is_pinned: bool) -> Data:
        self._check()
        self._backups.pin(backup_id, _OPERATOR, is_pinned=is_pinned)
        return self._data(backup_id)

    def remove(self, backup_id: str) -> Data:
        self._check()
        data = self._data(backup_id)
        self._backups.remove(backup_id, _OPERATOR)
        return data

    def _data(self, backup_id: str) -> dict[str, object]:
        shelf = self._backups.shelf
        return backup_data(shelf.find(backup_id), shelf.path(backup_id))


def _created(done: Created) -> dict[str, object]:
    more = {"skipped": list(done.skipped), "pruned": list(done.pruned), "is_new": done.is_new}
    return backup_data(done.backup, done.path) | more

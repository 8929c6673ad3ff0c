"""Looks at backups that there are: read back, drilled, compared with now. The outcome is kept."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from bty_app import __version__, logs
from bty_app.domain import backup_events as audit
from bty_app.domain.backups import Backup, Marks
from bty_app.domain.moments import stamp
from bty_app.errors import BtyError
from bty_app.services.backup_journal import Journal
from bty_app.services.clock import Clock
from bty_app.services.verify import Verdict, verify
from bty_app.store import unchanged
from bty_app.store.backup_shelf import STATE, Shelf

_log = logging.getLogger(__name__)
_DRILL = "drill: "


@dataclass(frozen=True, slots=True)
class Looks:
    """Any thread may call."""

    shelf: Shelf
    journal: Journal
    clock: Clock

    def check(self, backup_id: str) -> Verdict:
        """Read a backup back and compare all that is in it; damage is told once.

        Raises:
            NotFoundError: there is none of this name.
            StorageError: the outcome cannot be written.
        """
        known = self.shelf.find(backup_id).marks
        verdict = self.read_back(backup_id)
        if not verdict.sound and not known.problems:
            self.journal.tell(audit.proof_failed(backup_id, verdict.problems))
        return verdict

    def read_back(self, backup_id: str) -> Verdict:
        """The same, told to nobody."""
        path = self.shelf.path(backup_id)
        verdict = verify(path)
        if not verdict.sound:  # a read that the disk refuses once is no damage
            verdict = verify(path)
        now = stamp(self.clock())

        def looked(known: Marks) -> Marks:
            checked = now if verdict.sound else known.checked_at
            # A drill finds what reading does not: only the next one takes its word back.
            of_drill = tuple(text for text in known.problems if text.startswith(_DRILL))
            return replace(known, checked_at=checked, problems=(*verdict.problems, *of_drill))

        self.shelf.mark(backup_id, looked)
        return verdict

    def drilled(self, backup_id: str, problems: tuple[str, ...], facts: str) -> None:
        """Keep the outcome of a drill, which began with a look at all of the backup.

        Raises:
            NotFoundError: there is none of this name.
            StorageError: it cannot be written.
        """
        at = stamp(self.clock())
        said = tuple(f"{_DRILL}{problem}" for problem in problems)

        def stood(known: Marks) -> Marks:
            return replace(known, drilled_at=known.drilled_at if said else at, problems=said)

        self.shelf.mark(backup_id, stood)
        outcome = audit.drill_failed(backup_id, said) if said else audit.drilled(backup_id, facts)
        self.journal.keep(outcome, drilled_at=at, drilled_version=__version__)

    def same_as_now(self, state_db: Path) -> Backup | None:
        """The newest good one of the schedule, which retention leaves here, if nothing has changed
        since and all of it can still be read.
        """
        ours = self.journal.instance_id()
        good = next(
            (
                item
                for item in self.shelf.items()
                if not item.marks.problems and item.is_scheduled_by(ours)
            ),
            None,
        )
        if good is None or not good.is_full:
            return None
        try:
            same = unchanged.same(state_db, self.shelf.path(good.id) / STATE)
            return self.shelf.find(good.id) if same and self.check(good.id).sound else None
        except BtyError as error:  # then a new one is all the more wanted
            logs.event(_log, logging.WARNING, "backup", not_compared=error.message)
            return None

"""Checks of `doctor`: backups."""

from __future__ import annotations

from collections.abc import Iterator

from bty_app.domain.backup_alarm import Alarm
from bty_app.domain.findings import Finding, Level
from bty_app.domain.schedule import Cadence
from bty_app.services.backup_standing import standing_of
from bty_app.services.premises import Premises
from bty_app.store import move_mark

_REMEDY = "make one now with `bty backup`; `bty backups list` shows what there is"


def recent(premises: Premises) -> Iterator[Finding]:
    """There is a good backup, recent enough, and it is proven."""
    backups = premises.backups
    if backups is None or move_mark.refused(premises.state_dir):
        return
    backups.shelf.ids()  # that they cannot be read is a finding as well
    found = standing_of(backups, backups.journal.clock)
    if found.alarm is not Alarm.NONE:
        yield Finding(Level.WARNING, found.sentence, _REMEDY)
    elif found.proven is not None:
        proven = (found.proven.marks.proven_at or "")[:16].replace("T", " ")
        yield Finding(Level.OK, f"the backup {found.proven.id} was proven at {proven} UTC")
    elif backups.journal.settings().schedule.cadence is Cadence.MANUAL:
        sentence = "there is no backup, and none is scheduled"
        yield Finding(Level.WARNING, sentence, f"{_REMEDY}, or set backup.cadence")
    else:
        yield Finding(Level.NOTE, "there is no backup yet: the schedule takes the first one")

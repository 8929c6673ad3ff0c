"""Whether the backups of an installation are as they should be."""

from __future__ import annotations

from bty_app.domain.backup_alarm import Standing, Unchanged, standing
from bty_app.services.backups import Backups
from bty_app.services.clock import Clock
from bty_app.store.backup_state import moment


def standing_of(backups: Backups, clock: Clock) -> Standing:
    """How they stand now. Where they cannot be read there is none that counts."""
    journal = backups.journal
    known = journal.history()
    unchanged = Unchanged(known.unchanged_id, moment(known.unchanged_at))
    items, begun = backups.shelf.readable(), moment(known.begun_at)
    return standing(items, journal.settings(), begun, clock(), unchanged)

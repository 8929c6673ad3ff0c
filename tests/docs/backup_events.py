"""The audit rows of backups, with what they mean."""

from __future__ import annotations

from datetime import timedelta

from bty_app.domain import backup_events as audit
from bty_app.domain.catalog_events import By
from bty_app.domain.events import Actor, Event

_ID = "2026-11-22T19-07-18Z"
_BY = By(Actor.OPERATOR, "192.0.2.7")

BACKUP_EXAMPLES: tuple[tuple[Event, str], ...] = (
    (
        audit.requested(_ID, "manual", _BY),
        "An operator wants a backup; a job makes it.",
    ),
    (
        audit.started(_ID, "manual"),
        "A backup is being made. What it holds is from just before this row.",
    ),
    (
        audit.created(_ID, "scheduled", f"/var/lib/bty/backups/{_ID}", machines=300, size=1),
        "A backup was made and read back; or it was whole when the program that made it was killed."
        " Before the database of another version is archived, with the id and the trigger alone.",
    ),
    (
        audit.unchanged(_ID, "scheduled"),
        "The schedule made no backup: nothing has changed since the last good one of it, which"
        " was read back instead.",
    ),
    (
        audit.failed(_ID, "scheduled", "the disk is full"),
        "A backup was not made, or does not read back. While the schedule tries again, once for"
        " each reason.",
    ),
    (audit.cancelled(_ID, "manual"), "A backup was cancelled; nothing of it is left."),
    (audit.pruned(_ID, 7, "older than what is kept"), "Retention removed a backup."),
    (audit.deleted(_ID, _BY, machines=300, size=1), "An operator removed a backup."),
    (
        audit.delete_failed(_ID, "the disk is read-only", _BY),
        "A backup could not be removed, and is still there. The actor is `system` where retention"
        " wanted it gone.",
    ),
    (audit.pinned(_ID, _BY, is_pinned=True), "A backup is kept whatever retention says."),
    (audit.pinned(_ID, _BY, is_pinned=False), "Retention has its say over a backup again."),
    (
        audit.proof_failed(_ID, ("state.db: its digest is another",)),
        "A look at a backup has found damage. It is kept, and counts no more.",
    ),
    (audit.drilled(_ID, "300 machines"), "A backup was restored in a drill, and works."),
    (
        audit.drill_failed(_ID, ("drill: it does not start",)),
        "A backup could not be restored in a drill. It is kept, and counts no more.",
    ),
    (
        audit.overdue(timedelta(hours=5)),
        "The newest good backup is too old. Once, until backups are in order again.",
    ),
    (
        audit.unproven(_ID),
        "The newest backup was not read back, or is damaged. Once, until backups are in order.",
    ),
    (audit.recovered(), "Backups are in order again."),
)

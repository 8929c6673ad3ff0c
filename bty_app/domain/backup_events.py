"""The audit rows of backups: made, pruned, removed, proven (CONTRACT 6)."""

from __future__ import annotations

from datetime import timedelta

from bty_app.domain.backups import Backup
from bty_app.domain.catalog_events import By, plain
from bty_app.domain.events import Actor, Event, Kind, Subject

SYSTEM = By(Actor.SYSTEM, None)


def requested(backup_id: str, trigger: str, by: By) -> Event:
    """Somebody asked for one; it runs in the background."""
    what = f"the backup {backup_id} is to be made"
    return _of(Kind.BACKUP_REQUESTED, backup_id, by, what, trigger=trigger)


def started(backup_id: str, trigger: str) -> Event:
    """It has begun: what it holds is what the database held just before this row."""
    what = f"the backup {backup_id} is being made"
    return _of(Kind.BACKUP_STARTED, backup_id, SYSTEM, what, trigger=trigger)


def created(backup_id: str, trigger: str, place: str, *, machines: int, size: int) -> Event:
    """It is written, and was read back."""
    what = f"the backup {backup_id} is made and was read back: {machines} machines, {size} bytes"
    facts = _made(trigger, place, machines=machines, size=size)
    return _of(Kind.BACKUP_CREATED, backup_id, SYSTEM, what, **facts, error=None)


def unchanged(backup_id: str, trigger: str) -> Event:
    """None was made: the one that there is holds all there is, and was read back just now."""
    what = f"nothing has changed since the backup {backup_id}, which was read back: none was made"
    return _of(Kind.BACKUP_UNCHANGED, backup_id, SYSTEM, what, trigger=trigger)


def found(backup: Backup, place: str) -> Event:
    """One that was whole when its maker was killed."""
    machines = backup.manifest.machines or 0
    what = f"the backup {backup.id} was whole when it was interrupted; nobody has read it back"
    facts = _made(backup.manifest.trigger, place, machines=machines, size=backup.size)
    return _of(Kind.BACKUP_CREATED, backup.id, SYSTEM, what, **facts, error=None)


def failed(backup_id: str, trigger: str, error: str) -> Event:
    """There is no such backup; what there was before is as it was."""
    why = plain(error)
    what = f"the backup {backup_id} was not made: {why}"
    facts = _made(trigger, "", machines=None, size=None)
    return _of(Kind.BACKUP_FAILED, backup_id, SYSTEM, what, **facts, error=why)


def cancelled(backup_id: str, trigger: str) -> Event:
    """It was ended before it was done; nothing of it is left."""
    what = f"the backup {backup_id} was cancelled"
    by = By(Actor.OPERATOR, None)
    return _of(Kind.BACKUP_CANCELLED, backup_id, by, what, trigger=trigger, source="operator")


def pruned(backup_id: str, retention: int, reason: str) -> Event:
    """Retention removed it."""
    what = f"the backup {backup_id} was removed: {reason}"
    return _of(Kind.BACKUP_PRUNED, backup_id, SYSTEM, what, retention=retention)


def deleted(backup_id: str, by: By, *, machines: int | None, size: int) -> Event:
    """An operator removed it."""
    what = f"the backup {backup_id} was removed"
    return _of(Kind.BACKUP_DELETED, backup_id, by, what, machines=machines, bytes_on_disk=size)


def delete_failed(backup_id: str, error: str, by: By) -> Event:
    """It could not be removed, and is there as it was."""
    why = plain(error)
    what = f"the backup {backup_id} was not removed: {why}"
    return _of(Kind.BACKUP_DELETE_FAILED, backup_id, by, what, error=why)


def pinned(backup_id: str, by: By, *, is_pinned: bool) -> Event:
    """It is kept whatever retention says, or not any more."""
    if is_pinned:
        return _of(Kind.BACKUP_PINNED, backup_id, by, f"the backup {backup_id} is pinned")
    return _of(
        Kind.BACKUP_UNPINNED, backup_id, by, f"the backup {backup_id} is not pinned any more"
    )


def proof_failed(backup_id: str, problems: tuple[str, ...]) -> Event:
    """A look at it has found damage."""
    what = f"the backup {backup_id} is not sound: {plain(problems[0])}"
    return _of(Kind.BACKUP_PROOF_FAILED, backup_id, SYSTEM, what, problems=list(problems))


def drilled(backup_id: str, facts: str) -> Event:
    """It was restored into a place of its own, and works."""
    what = f"the backup {backup_id} was restored in a drill: {facts}"
    return _of(Kind.BACKUP_DRILLED, backup_id, SYSTEM, what)


def drill_failed(backup_id: str, problems: tuple[str, ...]) -> Event:
    """It could not be restored, or what came of it does not work."""
    what = f"the backup {backup_id} did not stand its drill: {plain(problems[0])}"
    return _of(Kind.BACKUP_DRILL_FAILED, backup_id, SYSTEM, what, problems=list(problems))


def overdue(late: timedelta) -> Event:
    """The newest good backup is too old; told once."""
    hours = int(late.total_seconds() // 3600)
    what = f"a backup is overdue by {hours} hours"
    return Event(Kind.BACKUP_OVERDUE, Actor.SYSTEM, what, _ALL, details={"hours_late": hours})


def unproven(backup_id: str) -> Event:
    """The newest backup has not been read back, or is damaged; told once."""
    what = f"the newest backup {backup_id} is not proven"
    return Event(Kind.BACKUP_UNPROVEN, Actor.SYSTEM, what, _ALL, details={"backup_id": backup_id})


def recovered() -> Event:
    """What was told of is over."""
    return Event(Kind.BACKUP_RECOVERED, Actor.SYSTEM, "backups are in order again", _ALL)


_ALL = Subject("backup", "schedule")


def _made(trigger: str, place: str, *, machines: int | None, size: int | None) -> dict[str, object]:
    return {"trigger": trigger, "dest_path": place, "machines": machines, "bytes_done": size}


def _of(kind: Kind, backup_id: str, by: By, what: str, **more: object) -> Event:
    subject = Subject("backup", backup_id)
    return Event(kind, by.actor, what, subject, by.ip, {"backup_id": backup_id, **more})

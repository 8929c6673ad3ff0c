"""Whether backups are as they should be: pure, for the dashboard, `/readyz`, metrics and events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from bty_app.domain.backup_settings import BackupSettings
from bty_app.domain.backups import Backup
from bty_app.domain.schedule import CLOCK_SLACK, overdue_since

UNSCHEDULED = timedelta(days=30)  # without a schedule, a good backup is not older


class Alarm(StrEnum):
    """What is wrong; empty for nothing."""

    NONE = ""
    OVERDUE = "overdue"
    UNPROVEN = "unproven"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class Standing:
    """How backups stand. `good` is the newest that nothing is known to be wrong with; what there
    was at `good_until` is in a good one; `proven` is the newest that was read back; `late` is by
    how much a backup is overdue; `damaged` is the newest of those that are.
    """

    alarm: Alarm
    newest: Backup | None
    good: Backup | None
    proven: Backup | None
    late: timedelta = timedelta(0)
    good_until: datetime | None = None
    damaged: Backup | None = None

    @property
    def sentence(self) -> str:
        """What is wrong, for people."""
        match self.alarm:
            case Alarm.OVERDUE:
                hours = int(self.late.total_seconds() // 3600)
                age = "there is no good backup" if self.good is None else "no backup is new enough"
                return f"{age}: one is overdue by {hours} hours"
            case Alarm.UNPROVEN:
                name = self.newest.id if self.newest else ""
                return f"the newest backup {name} is not proven"
            case Alarm.DAMAGED:
                name = self.damaged.id if self.damaged else ""
                return f"the backup {name} is damaged: look at it, and remove it"
            case _:
                return ""


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Nothing had changed at this moment since the backup of this name."""

    backup_id: str = ""
    at: datetime | None = None


_CHANGED = Unchanged()


def standing(
    items: Iterable[Backup],
    settings: BackupSettings,
    begun: datetime | None,
    now: datetime,
    unchanged: Unchanged = _CHANGED,
) -> Standing:
    """How backups stand; `items` are the newest first, `begun` is since when they are wanted."""
    dated = [item for item in items if item.taken_at and item.taken_at <= now + CLOCK_SLACK]
    newest = dated[0] if dated else None
    good = next((item for item in dated if not item.marks.problems), None)
    proven = next((item for item in dated if item.marks.proven_at), None)
    damaged = next((item for item in dated if item.marks.problems), None)
    until = _until(dated, unchanged, now)
    late = _late(settings, until, begun, now)
    alarm = Alarm.NONE
    if late is not None:
        alarm = Alarm.OVERDUE
    elif newest is not None and newest.marks.proven_at is None:
        alarm = Alarm.UNPROVEN
    elif damaged is not None:
        alarm = Alarm.DAMAGED
    return Standing(alarm, newest, good, proven, late or timedelta(0), until, damaged)


def _until(items: Iterable[Backup], unchanged: Unchanged, now: datetime) -> datetime | None:
    """Up to when the good ones of `items` hold all there was."""
    until = None
    for item in items:
        if item.taken_at is None or item.marks.problems:
            continue
        at = unchanged.at if item.id == unchanged.backup_id else None
        if at is None or at > now + CLOCK_SLACK:
            at = item.taken_at
        until = max(filter(None, (until, item.taken_at, at)))
    return until


def _late(
    settings: BackupSettings, good: datetime | None, begun: datetime | None, now: datetime
) -> timedelta | None:
    allowed = settings.alarm_after
    if allowed is None and settings.schedule.cadence.length is None:
        allowed = UNSCHEDULED
    if allowed is None:
        return overdue_since(settings.schedule, good, begun, now)
    since = good or begun
    late = now - since - allowed if since else timedelta(0)
    return late if late > timedelta(0) else None

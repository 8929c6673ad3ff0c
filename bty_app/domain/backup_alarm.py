"""Whether backups are as they should be: pure, for the dashboard, `/readyz`, metrics and events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from bty_app.domain.backup_settings import BackupSettings
from bty_app.domain.backups import Backup
from bty_app.domain.schedule import CLOCK_SLACK, overdue_since


class Alarm(StrEnum):
    """What is wrong; empty for nothing."""

    NONE = ""
    OVERDUE = "overdue"
    UNPROVEN = "unproven"


@dataclass(frozen=True, slots=True)
class Standing:
    """How backups stand. `good` is the newest that nothing is known to be wrong with, `proven` the
    newest that was read back; `late` is by how much a backup is overdue.
    """

    alarm: Alarm
    newest: Backup | None
    good: Backup | None
    proven: Backup | None
    late: timedelta = timedelta(0)

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
            case _:
                return ""


def standing(
    items: Iterable[Backup], settings: BackupSettings, begun: datetime | None, now: datetime
) -> Standing:
    """How backups stand; `items` are the newest first, `begun` is since when they are wanted."""
    dated = [item for item in items if item.taken_at and item.taken_at <= now + CLOCK_SLACK]
    newest = dated[0] if dated else None
    good = next((item for item in dated if not item.marks.problems), None)
    proven = next((item for item in dated if item.marks.proven_at), None)
    late = _late(settings, good.taken_at if good else None, begun, now)
    if late is not None:
        return Standing(Alarm.OVERDUE, newest, good, proven, late)
    if newest is not None and newest.marks.proven_at is None:
        return Standing(Alarm.UNPROVEN, newest, good, proven)
    return Standing(Alarm.NONE, newest, good, proven)


def _late(
    settings: BackupSettings, good: datetime | None, begun: datetime | None, now: datetime
) -> timedelta | None:
    if settings.alarm_after is None:
        return overdue_since(settings.schedule, good, begun, now)
    since = good or begun
    late = now - since - settings.alarm_after if since else timedelta(0)
    return late if late > timedelta(0) else None

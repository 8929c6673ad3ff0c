"""The settings of backups, and what they mean together: when, which are kept, what alarms."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time, timedelta
from typing import Any

from bty_app.domain.retention import Policy
from bty_app.domain.schedule import WEEKDAYS, Cadence, Schedule
from bty_app.domain.setting import Setting, time_zone, value, whole_number

_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)", re.ASCII)
_YES = frozenset({"yes", "true", "on", "1"})
_NO = frozenset({"no", "false", "off", "0"})
# The original's switch (CONTRACT 1.3): it comes over with a rotation, and "0" still means off.
LEGACY_ENABLED = "backup.enabled"


def _one_of(words: tuple[str, ...]) -> Any:
    def parse(text: str) -> str:
        word = text.strip().lower()
        if word not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return word

    return parse


def _time_of_day(text: str) -> str:
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise ValueError("a time of the day such as 03:00")
    return f"{int(found[1]):02}:{found[2]}"


def _yes_or_no(text: str) -> str:
    word = text.strip().lower()
    if word not in _YES | _NO:
        raise ValueError("yes or no")
    return "yes" if word in _YES else "no"


def _ping_url(text: str) -> str:
    if text and not re.fullmatch(r"https?://[!-~]{1,1024}", text, re.ASCII):
        raise ValueError("a URL such as https://example.com/ping/3f2a")
    return text


CADENCE = Setting(
    "backup.cadence",
    Cadence.DAILY.value,
    _one_of(tuple(cadence.value for cadence in Cadence)),
    "How often a backup is taken by itself: daily, weekly, or manual for not at all.",
)
AT = Setting("backup.at", "03:00", _time_of_day, "At which time of the day, such as 03:00.")
WEEKDAY = Setting(
    "backup.weekday", "sunday", _one_of(WEEKDAYS), "On which day of the week, for weekly ones."
)
ZONE = Setting("backup.zone", "UTC", time_zone, "The time zone of that time.")
KEEP = Setting(
    "backup.retention_count",
    7,
    whole_number(1, 1000),
    "So many of the newest scheduled backups are kept.",
)
KEEP_DAILY = Setting(
    "backup.keep_daily",
    7,
    whole_number(0, 1000),
    "Of older ones, the newest of each of so many days are kept as well.",
)
KEEP_WEEKLY = Setting(
    "backup.keep_weekly", 4, whole_number(0, 1000), "And the newest of each of so many weeks."
)
KEEP_MONTHLY = Setting(
    "backup.keep_monthly", 6, whole_number(0, 1000), "And the newest of each of so many months."
)
INCLUDE_STATE = Setting(
    "backup.include_state",
    "yes",
    _yes_or_no,
    "Whether a backup holds the whole database besides the bundle. Without it bindings, labels,"
    " settings and history cannot be put back.",
)
SKIP_UNCHANGED = Setting(
    "backup.skip_unchanged",
    "yes",
    _yes_or_no,
    "Whether the schedule makes no backup where nothing has changed since the last good one: that"
    " one is read back instead, and it is recorded. Those that are kept then differ.",
)
PING_URL = Setting(
    "backup.ping_url",
    "",
    _ping_url,
    "A URL that is asked after each scheduled backup; after one that failed, with `fail` as one"
    " more part of its path.",
)
ALARM_HOURS = Setting(
    "backup.alarm_hours",
    0,
    whole_number(0, 8760),
    "It is an alarm when the newest good backup is older than so many hours. 0: one and a half"
    " times the cadence; without one, 30 days.",
)

BACKUP = (
    *(CADENCE, AT, WEEKDAY, ZONE),
    *(KEEP, KEEP_DAILY, KEEP_WEEKLY, KEEP_MONTHLY),
    *(INCLUDE_STATE, SKIP_UNCHANGED, PING_URL, ALARM_HOURS),
)


@dataclass(frozen=True, slots=True)
class BackupSettings:
    """All of them together; `alarm_after` is None for one and a half times the cadence."""

    schedule: Schedule
    policy: Policy
    include_state: bool
    skip_unchanged: bool
    ping_url: str
    alarm_after: timedelta | None


def backup_settings(stored: Mapping[str, str]) -> BackupSettings:
    """What is stored under the keys of `BACKUP`; what breaks its rule counts as not set."""
    hour, minute = str(value(AT, stored)).split(":")
    cadence = Cadence(value(CADENCE, stored))
    if stored.get(LEGACY_ENABLED) == "0":
        cadence = Cadence.MANUAL
    hours = int(value(ALARM_HOURS, stored))
    return BackupSettings(
        schedule=Schedule(
            cadence,
            time(int(hour), int(minute)),
            WEEKDAYS.index(value(WEEKDAY, stored)),
            str(value(ZONE, stored)),
        ),
        policy=Policy(
            *(int(value(row, stored)) for row in (KEEP, KEEP_DAILY, KEEP_WEEKLY, KEEP_MONTHLY))
        ),
        include_state=value(INCLUDE_STATE, stored) == "yes",
        skip_unchanged=value(SKIP_UNCHANGED, stored) == "yes",
        ping_url=str(value(PING_URL, stored)),
        alarm_after=timedelta(hours=hours) if hours else None,
    )

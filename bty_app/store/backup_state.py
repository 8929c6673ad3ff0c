"""What the database keeps of backups: how the schedule went, and what is being done right now.

How the schedule went stands among the settings, under names that a rotation carries over; what is
being done stands with the instance, so that whoever finds it after a crash can say what became.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime

from bty_app.store import instance, settings
from bty_app.store.database import Tx

_PREFIX = "backup."
INTENTION = "backup_intention"


@dataclass(frozen=True, slots=True)
class History:
    """How the schedule went; moments are stamps, and empty what has not happened.

    `last_success_at` is when the last good scheduled run began, and only a good one moves it; where
    it found nothing changed since the backup `unchanged_id`, `unchanged_at` is when.
    """

    begun_at: str = ""
    last_success_at: str = ""
    last_attempt_at: str = ""
    failures: int = 0
    last_error: str = ""
    drilled_at: str = ""
    drilled_version: str = ""
    alarm: str = ""
    unchanged_id: str = ""
    unchanged_at: str = ""


@dataclass(frozen=True, slots=True)
class Intention:
    """What somebody has set out to do: `create` or `remove` a backup, and why."""

    act: str
    backup_id: str
    why: str
    machines: int | None = None
    size: int = 0
    retention: int = 0
    ip: str | None = None


HISTORY_KEYS = tuple(f"{_PREFIX}{field.name}" for field in fields(History))


def history(tx: Tx) -> History:
    """How the schedule went."""
    stored = settings.every(tx)
    found = {
        field.name: stored[f"{_PREFIX}{field.name}"]
        for field in fields(History)
        if f"{_PREFIX}{field.name}" in stored
    }
    failures = found.pop("failures", "")
    known = History(**found)  # type: ignore[arg-type]  # all others are texts
    count = int(failures) if failures.isascii() and failures.isdigit() else 0
    return replace(known, failures=min(count, 1_000_000))


def keep(tx: Tx, wanted: History, *, at: str) -> None:
    """Store what has changed of it."""
    before = asdict(history(tx))
    for name, value in asdict(wanted).items():
        if value != before[name]:
            settings.put(tx, f"{_PREFIX}{name}", str(value), at=at)


def moment(text: str) -> datetime | None:
    """A stamp as a moment; None for anything else."""
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else None
    except (ValueError, OverflowError):
        return None


def intend(tx: Tx, intention: Intention) -> None:
    """Say what is about to be done."""
    instance.put(tx, INTENTION, json.dumps(asdict(intention)))


def intention(tx: Tx) -> Intention | None:
    """What was about to be done, if anything was."""
    text = instance.get(tx, INTENTION)
    try:
        known = json.loads(text) if text else None
        return Intention(**known) if known else None
    except (ValueError, TypeError):
        return None


def done(tx: Tx) -> None:
    """It is done, and told."""
    instance.remove(tx, INTENTION)

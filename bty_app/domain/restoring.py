"""Putting a backup back: what comes from it, what stays as it is now, and how that is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from bty_app.domain.catalog_events import By
from bty_app.domain.events import Event, Kind, Subject
from bty_app.domain.mac import Mac
from bty_app.domain.rotation import counted
from bty_app.errors import ValidationError

MOST_MACS = 1000  # named in one call, or in one event


class Rule(StrEnum):
    """What a restore does with the rows of a table."""

    RESTORED = "restored"  # as in the backup
    FOLLOWS = "follows"  # of a machine that is here, as now; of one that comes back, as it was
    KEPT = "kept"  # as now


# Every table has a rule: a new one must be decided upon.
RULES: Mapping[str, Rule] = {
    "machines": Rule.RESTORED,
    "machine_labels": Rule.RESTORED,
    "catalog_entries": Rule.RESTORED,
    "settings": Rule.RESTORED,
    "machine_progress": Rule.FOLLOWS,
    "machine_orders": Rule.FOLLOWS,
    "boot_stages": Rule.FOLLOWS,
    "hardware_history": Rule.FOLLOWS,
    "bty_version": Rule.KEPT,
    "bty_instance": Rule.KEPT,
    "events": Rule.KEPT,
    "sessions": Rule.KEPT,
    "api_tokens": Rule.KEPT,
    "webhook_targets": Rule.KEPT,
    "flash_slots": Rule.KEPT,
    "bulk_acts": Rule.KEPT,
    "bulk_items": Rule.KEPT,
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to put back. Without `macs` all of it; with them those machines and nothing else.

    `keep_boot_modes`: machines that the backup would have flashed come back armed.
    `with_tokens`: API tokens come back that are in the backup alone.

    Raises:
        ValidationError: more than `MOST_MACS`.
    """

    macs: tuple[Mac, ...] = ()
    keep_boot_modes: bool = False
    with_tokens: bool = False

    def __post_init__(self) -> None:
        if len(self.macs) > MOST_MACS:  # an undo is of those that the event names
            raise ValidationError(f"macs: must be a list of at most {MOST_MACS}")


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows of a table a restore adds, removes, changes."""

    added: int = 0
    removed: int = 0
    changed: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.added + self.removed + self.changed

    def as_data(self) -> dict[str, int]:
        """As JSON has it."""
        return {"added": self.added, "removed": self.removed, "changed": self.changed}


@dataclass(frozen=True, slots=True)
class Field:
    """One value of a row: what it is now, and what it will be."""

    name: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one machine: in the backup, and now; empty for a machine without record."""

    then: Mapping[str, str | None]
    here: Mapping[str, str | None]

    @property
    def fields(self) -> tuple[Field, ...]:
        """Each value, then and now: `old` is that of now."""
        names = self.then or self.here
        return tuple(Field(name, self.here.get(name), self.then.get(name)) for name in names)


@dataclass(frozen=True, slots=True)
class RowChange:
    """A row that a restore adds, removes or changes; `disarmed`: its order to flash stays away."""

    table: str
    key: str
    kind: str
    fields: tuple[Field, ...]
    disarmed: bool = False

    def as_data(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "table": self.table,
            "key": self.key,
            "change": self.kind,
            "fields": {field.name: [field.old, field.new] for field in self.fields},
            "disarmed": self.disarmed,
        }


@dataclass(frozen=True, slots=True)
class Effect:
    """What a restore does, or would do.

    `armed` machines come back ready to be flashed although they are not now; `disarmed` ones would
    have, and do not. `events_since` were recorded after the backup and stay; `foreign_events` are
    in the backup's audit log and not in this one. `tokens_left` stay away.
    """

    tables: Mapping[str, Counts]
    armed: int
    disarmed: int
    events_since: int
    foreign_events: int
    tokens_left: int
    digest: str

    @property
    def rows(self) -> int:
        """How many rows differ."""
        return sum(counts.total for counts in self.tables.values())

    def as_data(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "tables": {name: counts.as_data() for name, counts in self.tables.items()},
            "armed": self.armed,
            "disarmed": self.disarmed,
            "events_since": self.events_since,
            "foreign_events": self.foreign_events,
            "tokens_left": self.tokens_left,
            "digest": self.digest,
        }


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the rows come from: a name for people, the digest of the database, when it was made."""

    name: str
    sha256: str
    created_at: str | None = None


@dataclass(frozen=True, slots=True)
class WayBack:
    """What was kept of the state before: a backup, or a directory of evidence. `undoes` is the
    event of the restore that this one takes back.
    """

    backup_id: str | None = None
    evidence: str | None = None
    undoes: int | None = None


def restored(origin: Origin, wanted: Wanted, effect: Effect, way_back: WayBack, by: By) -> Event:
    """A backup was put back."""
    verb = "was undone from" if way_back.undoes else "was put back:"
    what = "A restore" if way_back.undoes else "A backup"
    machines = effect.tables.get("machines", Counts())
    summary = (
        f"{what} {verb} {origin.name}: {counted(machines.total)} and"
        f" {effect.rows - machines.total} other rows are as they were then"
    )
    if effect.disarmed:
        summary += f"; {counted(effect.disarmed)} that it would have flashed came back disarmed"
    details: dict[str, object] = {
        "source": origin.name,
        "sha256": origin.sha256,
        "created_at": origin.created_at,
        "undo": way_back.backup_id,
        "evidence": way_back.evidence,
        "undoes": way_back.undoes,
        "only": list(wanted.macs) or None,
        "keep_boot_modes": wanted.keep_boot_modes,
        "with_tokens": wanted.with_tokens,
        **effect.as_data(),
    }
    subject = Subject("backup", origin.name)
    return Event(Kind.BACKUP_RESTORED, by.actor, summary, subject, by.ip, details)


def restore_failed(name: str, why: str, by: By) -> Event:
    """A backup could not be put back: nothing has changed."""
    return Event(
        Kind.BACKUP_RESTORE_FAILED,
        by.actor,
        f"{name} could not be put back: {why}",
        Subject("backup", name),
        by.ip,
        {"source": name, "problem": why},
    )

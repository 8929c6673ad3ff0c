"""The audit rows of an upgrade: told by the program that carried it out, beside the server."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields

from bty_app.domain.catalog_events import plain
from bty_app.domain.events import Actor, Event, Kind, Subject

LONGEST = 4096  # characters of a tale
_LONGEST_WHY = 500


@dataclass(frozen=True, slots=True)
class Tale:
    """An upgrade that is over, begun at the stamp `begun_at`, which is what it is known by.

    `backup_id` is that from before. An empty `why`: it succeeded; else it was taken back for that.
    """

    begun_at: str
    from_version: str
    to_version: str
    backup_id: str
    seconds: int
    why: str = ""

    @property
    def text(self) -> str:
        """As a command is told it; see `tale_of`."""
        return json.dumps({**asdict(self), "why": self.why[:_LONGEST_WHY]})


def tale_of(text: str) -> Tale:
    """What `Tale.text` gave; raises ValueError where it is none."""
    data = json.loads(text) if len(text) <= LONGEST else None
    kinds = {field.name: int if field.name == "seconds" else str for field in fields(Tale)}
    if not isinstance(data, dict) or data.keys() != kinds.keys():
        raise ValueError("no tale")
    if not all(type(data[name]) is kind for name, kind in kinds.items()):
        raise ValueError("no tale")
    return Tale(**data)


def subject_of(tale: Tale) -> Subject:
    """What its row is about; there is one row of a kind about it."""
    return Subject("upgrade", tale.begun_at)


def event_of(tale: Tale) -> Event:
    """Its row. The system's: as an act of an operator it would count as work that a way back to the
    older release would lose.
    """
    both = {"from_version": tale.from_version, "backup_id": tale.backup_id}
    subject = subject_of(tale)
    if not tale.why:
        return Event(
            Kind.UPGRADED,
            Actor.SYSTEM,
            f"bty {tale.to_version} has taken the place of {tale.from_version}, in {tale.seconds}"
            f" seconds; the backup from before is {tale.backup_id}",
            subject,
            details={**both, "to_version": tale.to_version, "seconds": tale.seconds},
        )
    why = plain(tale.why)
    return Event(
        Kind.UPGRADE_FAILED,
        Actor.SYSTEM,
        f"the upgrade to bty {tale.to_version} was taken back, and {tale.from_version} serves its"
        f" data: {why}; the backup from before is {tale.backup_id or 'none'}",
        subject,
        details={
            **both,
            "tried_version": tale.to_version,
            "seconds": tale.seconds,
            "error": why,
        },
    )

"""Audit rows of copies elsewhere. None has a secret in it."""

from __future__ import annotations

from collections.abc import Sequence

from bty_app.domain.events import Actor, Event, Kind, Subject


def pushed(backup_id: str, shown: str, size: int) -> Event:
    """A backup is there as well."""
    return Event(
        Kind.OFFSITE_PUSHED,
        Actor.SYSTEM,
        f"backup {backup_id} was copied to {shown}, {size} bytes",
        Subject("backup", backup_id),
        None,
        {"place": shown, "size": size},
    )


def failed(shown: str, why: str, waiting: Sequence[str]) -> Event:
    """Backups do not get there: once, until one does."""
    return Event(
        Kind.OFFSITE_FAILED,
        Actor.SYSTEM,
        f"backups cannot be copied to {shown}: {why}; this is tried again",
        Subject("offsite", shown),
        None,
        {"place": shown, "why": why, "waiting": list(waiting)[:50]},
    )


def pruned(gone: Sequence[str], shown: str, keep: int) -> Event:
    """Old copies were removed there."""
    count = f"{len(gone)} old {'copy' if len(gone) == 1 else 'copies'}"
    return Event(
        Kind.OFFSITE_PRUNED,
        Actor.SYSTEM,
        f"{count} at {shown} went: the newest {keep} of the schedule stay",
        Subject("offsite", shown),
        None,
        {"place": shown, "removed": list(gone)[:200], "keep": keep},
    )

"""The audit rows of old databases that an operator has removed, or could not."""

from __future__ import annotations

from collections.abc import Sequence

from bty_app.domain.catalog_events import By, plain
from bty_app.domain.events import Event, Kind, Subject


def removed(names: Sequence[str], size: int, by: By) -> Event:
    """Archives of these names are gone, `size` bytes of them."""
    what = names[0] if len(names) == 1 else f"{len(names)} old databases"
    return Event(
        Kind.ARCHIVES_REMOVED,
        by.actor,
        f"{what} removed: {size:,} bytes",
        Subject("state", names[0]),
        by.ip,
        {"names": list(names), "bytes": size},
    )


def remove_failed(names: Sequence[str], gone: Sequence[str], error: str, by: By) -> Event:
    """Archives of these names were to go; those in `gone` are gone, the others are there."""
    why = plain(error)
    what = names[0] if len(names) == 1 else f"{len(names)} old databases"
    some = f"; {len(gone)} of them are gone" if gone else ""
    return Event(
        Kind.ARCHIVES_REMOVE_FAILED,
        by.actor,
        f"{what} not removed: {why}{some}",
        Subject("state", names[0]),
        by.ip,
        {"names": list(names), "gone": list(gone), "error": why},
    )

"""The audit row of old databases that an operator has removed."""

from __future__ import annotations

from collections.abc import Sequence

from bty_app.domain.catalog_events import By
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

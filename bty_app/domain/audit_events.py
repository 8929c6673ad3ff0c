"""The audit log speaks of itself."""

from __future__ import annotations

from bty_app.domain.events import Actor, Event, Kind, Subject


def dropped(count: int, first: str, last: str, why: str) -> Event:
    """So many facts of machines were never recorded, the first and the last of them then."""
    what = "1 fact of a machine" if count == 1 else f"{count} facts of machines"
    return Event(
        Kind.AUDIT_FAILED,
        Actor.SYSTEM,
        f"{what} could not be recorded between {first} and {last}: {why}",
        Subject("system", "audit"),
        None,
        {"dropped": count, "first": first, "last": last, "reason": why},
    )

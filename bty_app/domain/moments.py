"""How a moment is spelled in state, events and bundles: ISO 8601, UTC, microseconds."""

from __future__ import annotations

from datetime import UTC, datetime


def stamp(moment: datetime) -> str:
    """`2026-11-22T19:07:18.570473+00:00`: of fixed width, so that text sorts as time does."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def with_z(stamped: str | None) -> str | None:
    """The spelling of the `Machine` JSON: a final Z for the zone (CONTRACT 3.1)."""
    return stamped.replace("+00:00", "Z") if stamped else stamped

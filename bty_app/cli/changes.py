"""Rows that differ, as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bty_app.domain.restoring import RowChange
from bty_app.logs import one_line


def told_changes(rows: Iterable[RowChange]) -> Iterator[str]:
    """A line a row: what it is, and each value that becomes another."""
    for row in rows:
        fields = "; ".join(
            f"{field.name} {_value(field.old)} → {_value(field.new)}" for field in row.fields
        )
        place = "" if row.table == "machines" else f"{row.table} "
        disarmed = " (disarmed)" if row.disarmed else ""
        shown = f": {fields}" if fields and row.kind not in {"added", "removed"} else ""
        yield one_line(f"  {row.kind:8}{place}{row.key}{disarmed}{shown}")


def _value(text: str | None) -> str:
    return "none" if text is None else text

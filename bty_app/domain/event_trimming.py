"""The audit row of events that were removed by age."""

from __future__ import annotations

from bty_app.domain.events import Actor, Event, Kind, StoredEvent, Subject


def trimmed(last: StoredEvent, count: int, days: int) -> Event:
    """`count` rows up to `last` are gone, whose chain value the next row follows."""
    summary = f"{count} events up to {last.ts} were removed: they are kept for {days} days"
    details = {"removed": count, "up_to_id": last.id, "up_to": last.ts, "chain": last.chain}
    subject = Subject("system", "events")
    return Event(Kind.EVENTS_TRIMMED, Actor.SYSTEM, summary, subject, None, details)

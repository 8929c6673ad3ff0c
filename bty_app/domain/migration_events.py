"""The audit rows of a move to another host."""

from __future__ import annotations

from bty_app.domain.events import Actor, Event, Kind, Subject

_SUBJECT = Subject("system", "migration")


def leaving(to: str, ip: str | None) -> Event:
    """A new host has asked for everything; changes are refused from here on."""
    summary = f"being moved to {to}: no change is taken until that is done or given up"
    return Event(Kind.MIGRATION_LEAVING, Actor.OPERATOR, summary, _SUBJECT, ip, {"to": to})


def given_up(to: str, why: str) -> Event:
    """The move did not happen, and changes are taken again."""
    summary = f"the move to {to} was given up ({why}): changes are taken again"
    details = {"to": to, "reason": why}
    return Event(Kind.MIGRATION_GIVEN_UP, Actor.SYSTEM, summary, _SUBJECT, None, details)


def moved(to: str, ip: str | None) -> Event:
    """Another host has taken over."""
    summary = f"moved to {to}: machines are sent there, and nothing can be changed here"
    return Event(Kind.MIGRATION_MOVED, Actor.OPERATOR, summary, _SUBJECT, ip, {"to": to})


def cancelled(to: str) -> Event:
    """An operator took a move back."""
    summary = f"the move to {to or 'another host'} was taken back: this appliance serves again"
    return Event(Kind.MIGRATION_CANCELLED, Actor.OPERATOR, summary, _SUBJECT, None, {"to": to})


def arrived(source: str, machines: int) -> Event:
    """The state of another appliance has come here."""
    summary = f"the state of {source} came here, with {machines} machines"
    details = {"from": source, "machines": machines}
    return Event(Kind.MIGRATION_ARRIVED, Actor.OPERATOR, summary, _SUBJECT, None, details)


def host_changed(before: str, now: str) -> Event:
    """The state is served by another host than the last time."""
    summary = f"this state was served by {before} and is served by {now} now"
    details = {"before": before, "now": now}
    return Event(Kind.HOST_CHANGED, Actor.SYSTEM, summary, _SUBJECT, None, details)

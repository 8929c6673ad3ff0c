"""What is written down of an act on many machines: a row for the act, and one a machine."""

from __future__ import annotations

from bty_app.domain.bulk import Step
from bty_app.domain.bulk_act import ACT_NAMES, Act
from bty_app.domain.events import Actor, Event, Kind, Subject, machine_subject
from bty_app.domain.rotation import counted


def begun(act_id: str, act: Act, machines: int, ip: str | None) -> Event:
    """An operator confirmed an act."""
    summary = f'"{ACT_NAMES[act.kind]}" was begun on {counted(machines)}'
    details = {"act": act.as_fields(), "machines": machines}
    return Event(Kind.BULK_BEGUN, Actor.OPERATOR, summary, Subject("bulk", act_id), ip, details)


def done(mac: str, act_id: str, act: Act, step: Step, ip: str | None) -> Event:
    """The act was done to one machine."""
    details = {"bulk": act_id, "act": act.as_fields()}
    summary = f"{mac}: {ACT_NAMES[act.kind]}: {step.words}"
    return Event(Kind.BULK_MACHINE, Actor.OPERATOR, summary, machine_subject(mac), ip, details)


def failed(mac: str, act_id: str, act: Act, why: str, ip: str | None) -> Event:
    """The act could not be done to one machine."""
    details = {"bulk": act_id, "act": act.as_fields(), "reason": why}
    summary = f'{mac}: "{ACT_NAMES[act.kind]}" failed: {why}'
    subject = machine_subject(mac)
    return Event(Kind.BULK_MACHINE_FAILED, Actor.OPERATOR, summary, subject, ip, details)


def undo(act_id: str, act: Act, machines: int, ip: str | None) -> Event:
    """An operator took an act back."""
    summary = f'"{ACT_NAMES[act.kind]}" on {counted(machines)} is being undone'
    details = {"machines": machines}
    return Event(Kind.BULK_UNDONE, Actor.OPERATOR, summary, Subject("bulk", act_id), ip, details)


def undone(mac: str, act_id: str, ip: str | None) -> Event:
    """One machine is as it was before the act."""
    summary = f"{mac} is as it was before that act"
    subject = machine_subject(mac)
    return Event(Kind.BULK_MACHINE_UNDONE, Actor.OPERATOR, summary, subject, ip, {"bulk": act_id})

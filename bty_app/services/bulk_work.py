"""What an act does to one machine, and how that is undone, inside the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bty_app.domain import bulk_events
from bty_app.domain.bulk import Outcome, Site, Step, fingerprint, shown_as
from bty_app.domain.bulk_act import Act, Kind, parse_act
from bty_app.domain.mac import Mac
from bty_app.domain.moments import stamp
from bty_app.errors import BtyError
from bty_app.services.bulk_plan import step_of, subject_of
from bty_app.store import bulk as rows
from bty_app.store import events, machines, orders
from bty_app.store.database import Tx

GONE = "gone"


@dataclass(frozen=True, slots=True)
class Sender:
    """What reaches machines over the network: a wake-on-LAN packet, and the power hook."""

    wake: Callable[[Mac], None]
    power: Callable[[Mac], None] | None = None

    @property
    def has_power_hook(self) -> bool:
        """Whether there is one."""
        return self.power is not None

    def is_slow(self, act: Act) -> bool:
        """Whether even one machine may take long."""
        return act.kind is Kind.POWER

    def sent(self, act: Act, macs: Sequence[Mac]) -> Mapping[Mac, str]:
        """Do what is not in the database; why it failed, for those where it did."""
        send = {Kind.WAKE: self.wake, Kind.POWER: self.power}.get(act.kind)
        failures = {}
        for mac in macs if send else ():
            try:
                send(mac)  # type: ignore[misc]  # None leaves no machine
            except BtyError as error:
                failures[mac] = error.message
        return failures


@dataclass(frozen=True, slots=True)
class Doing:
    """An act that is being done; `failures` is why it failed, for machines where it did."""

    stored: rows.Stored
    act: Act
    site: Site
    at: str
    failures: Mapping[Mac, str]


def as_shown(tx: Tx, item: rows.Item, act: Act, site: Site) -> Step | None:
    """What is to be done to the machine, if that is still what was shown."""
    with_disks = act.kind in {Kind.SET, Kind.FLASH_AGAIN}
    subject = subject_of(tx, item.mac, with_disks=with_disks)
    if subject is None:
        return None
    step = step_of(tx, act, subject, site)
    same = shown_as(subject, step) == item.expected and step.outcome is Outcome.WILL
    return step if same else None


def done_to(tx: Tx, item: rows.Item, doing: Doing) -> None:
    """Do the act to one machine, if that is still what was shown; with its audit row."""
    stored, act, at = doing.stored, doing.act, doing.at
    mac, ip, failure = item.mac, stored.source_ip, doing.failures.get(item.mac, "")
    step = as_shown(tx, item, act, doing.site)
    if step is None:
        note = "it was deleted, or has changed, since this was shown"
        rows.settle(tx, stored.id, mac, rows.Came("changed", note))
        return
    if failure:
        rows.settle(tx, stored.id, mac, rows.Came("failed", failure))
        events.record(tx, bulk_events.failed(mac, stored.id, act, failure, ip), at=at)
        return
    before = rows.kept(tx, mac, whole=act.kind is Kind.FORGET) if stored.undo_until else None
    if act.kind is Kind.FORGET:
        machines.forget(tx, mac)
    elif act.kind in {Kind.ADD_LABELS, Kind.REMOVE_LABELS} and step.after:
        machines.set_labels(tx, mac, step.after.labels, at=at)
    elif step.after:
        machines.assign(tx, mac, step.after, at=at)
        if act.expires_hours and step.erased:
            until = datetime.fromisoformat(at) + timedelta(hours=act.expires_hours)
            orders.expire(tx, mac, at=stamp(until))
    events.record(tx, bulk_events.done(mac, stored.id, act, step, ip), at=at)
    came = rows.Came("done", after=_now(tx, mac), before=before)
    rows.settle(tx, stored.id, mac, came)


def undone_of(tx: Tx, stored: rows.Stored, item: rows.Item, *, at: str, ip: str | None) -> None:
    """Bring one machine back to what it was, unless it has changed since."""
    act, mac = parse_act(json.loads(stored.act)), item.mac
    if item.before is None or _now(tx, mac) != item.after:
        note = "it has changed since, so it stays as it is now"
        rows.settle(tx, stored.id, mac, rows.Came("kept", note))
        return
    rows.restore(tx, mac, item.before, at=at, whole=act.kind is Kind.FORGET)
    events.record(tx, bulk_events.undone(mac, stored.id, ip), at=at)
    rows.settle(tx, stored.id, mac, rows.Came("undone"))


def _now(tx: Tx, mac: Mac) -> str:
    machine = machines.get(tx, mac)
    return fingerprint(machine, tuple(machines.labels(tx, mac))) if machine else GONE

"""What is written down of a machine: the sentence and the details of each event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from bty_app.domain.boot import Decision, LiveEnv, Wait
from bty_app.domain.events import Actor, Event, Kind, machine_subject
from bty_app.domain.image_target import Cached
from bty_app.domain.inventory import Inventory
from bty_app.domain.mac import Mac
from bty_app.domain.machine import MODE_NAMES, Assignment, BootMode, Machine
from bty_app.domain.offers import offer_details

MAX_TOLD = 4  # changes in a summary; the details have them all
_DISCOVERED_AS = Assignment(boot_mode=BootMode.INVENTORY)


def discovered(mac: Mac, ip: str | None) -> Event:
    """A machine asked that nobody knew."""
    summary = f"{mac} was seen for the first time"
    return _by_client(Kind.MACHINE_DISCOVERED, mac, summary, ip, _assigned(_DISCOVERED_AS))


def saved(mac: Mac, wanted: Assignment, *, created: bool, ip: str | None) -> Event:
    """An operator saved a machine; its cycle begins anew."""
    kind = Kind.MACHINE_CREATED if created else Kind.MACHINE_UPSERTED
    summary = f"{mac} was saved in mode “{MODE_NAMES[wanted.boot_mode]}”; its cycle starts anew"
    return Event(kind, Actor.OPERATOR, summary, machine_subject(mac), ip, _assigned(wanted))


def labelled(mac: Mac, wanted: Assignment, ip: str | None) -> Event:
    """An operator changed nothing but the labels; its cycle goes on."""
    summary = f"{mac} has other labels; its cycle goes on as it was"
    subject = machine_subject(mac)
    return Event(Kind.MACHINE_UPSERTED, Actor.OPERATOR, summary, subject, ip, _assigned(wanted))


def deleted(mac: Mac, ip: str | None) -> Event:
    """An operator forgot a machine."""
    summary = f"{mac} was deleted with its labels and hardware record"
    return Event(Kind.MACHINE_DELETED, Actor.OPERATOR, summary, machine_subject(mac), ip)


def offered(machine: Machine, decision: Decision, image_name: str | None, ip: str | None) -> Event:
    """A machine asked what to boot, and was told."""
    summary = f"{machine.mac} asked what to boot: {_words(decision)}"
    details = offer_details(machine, decision, image_name)
    return _by_client(Kind.PXE_OFFERED, machine.mac, summary, ip, details)


def planned(
    machine: Machine,
    plan: Mapping[str, object],
    offer_kind: str,
    ip: str | None,
    *,
    cached: Cached | None = None,
) -> Event:
    """A live environment asked for its plan; `cached` tells of the image in a plan to flash."""
    summary = f"{machine.mac} was given its plan: {plan['mode']}"
    details: dict[str, object] = {
        "plan": dict(plan),
        "boot_mode": machine.boot_mode.value,
        "offer_kind": offer_kind,
    }
    if cached is not None:
        details["withcache"] = {
            "configured": cached.configured,
            "hit": cached.hit,
            "served_from": "withcache" if cached.url else "origin",
        }
    return _by_client(Kind.PXE_PLAN, machine.mac, summary, ip, details)


def armed(mac: Mac) -> Event:
    """The live environment is being fetched: an attempt has begun."""
    return _by_client(Kind.FLASHER_ARMED, mac, f"{mac} is fetching the live environment", None)


def inventory(mac: Mac, found: Inventory, ip: str | None) -> Event:
    """A live environment reported the hardware."""
    tree = "too large, the one before is kept" if found.lshw_too_large else bool(found.lshw)
    details = {"count": found.count, "serials": list(found.serials), "lshw": tree}
    summary = f"{mac} reported {found.count} disk{'' if found.count == 1 else 's'}"
    return _by_client(Kind.MACHINE_INVENTORY, mac, summary, ip, details)


def hardware_changed(mac: Mac, changes: Sequence[str], ip: str | None) -> Event:
    """An inventory differs from the one before it."""
    shown = "; ".join(changes[:MAX_TOLD])
    more = f"; and {len(changes) - MAX_TOLD} more" if len(changes) > MAX_TOLD else ""
    summary = f"{mac} has other hardware: {shown}{more}"
    details = {"changes": list(changes)}
    return _by_client(Kind.MACHINE_HARDWARE_CHANGED, mac, summary, ip, details)


def flashed(mac: Mac, ip: str | None, extras: str | None = None) -> Event:
    """A flash is complete; `extras` is what was done besides."""
    summary = f"{mac} was flashed{f': {extras}' if extras else ''}"
    details = {"extras": extras} if extras else None
    return _by_client(Kind.MACHINE_FLASHED, mac, summary, ip, details)


def booted(mac: Mac, ip: str | None) -> Event:
    """The operating system of a machine says that it is up."""
    return _by_client(Kind.MACHINE_BOOTED, mac, f"{mac} reports that its system is up", ip)


def never_up(machine: Machine) -> Event:
    """What was flashed has not said in time that it is up."""
    summary = (
        f"{machine.mac} was flashed at {machine.last_flashed_at}, and its system has not said since"
        " that it is up: look at its console; what was written is complete"
    )
    details = {"flashed_at": machine.last_flashed_at}
    kind, subject = Kind.MACHINE_BOOTED_FAILED, machine_subject(machine.mac)
    return Event(kind, Actor.SYSTEM, summary, subject, details=details)


def stale(mac: Mac, ip: str | None) -> Event:
    """A completion came that answers no order of this cycle."""
    summary = f"{mac} reported a flash that nobody ordered since it was last saved: ignored"
    return _by_client(Kind.MACHINE_REPORT_STALE, mac, summary, ip)


def flash_failed(mac: Mac, reason: str | None, ip: str | None) -> Event:
    """A live environment says that a flash failed."""
    summary = f"{mac} reports that its flash failed: {reason or 'no reason given'}"
    details = {"reason": reason} if reason else None
    return _by_client(Kind.MACHINE_FLASH_FAILED, mac, summary, ip, details)


def orphan(mac: Mac, signal: str, ip: str | None, details: Mapping[str, object]) -> Event:
    """A report came from a machine that has no record."""
    summary = f"{mac} reported {signal}, but there is no record of it"
    return _by_client(Kind.CLIENT_ORPHAN, mac, summary, ip, {"signal": signal, **details})


def silent(machine: Machine, heard: str) -> Event:
    """Nobody has heard of a flash for too long."""
    summary = (
        f"{machine.mac} has been silent since {heard} in the middle of a flash: look at its"
        " console; a power cycle makes it boot the flasher again, never the half-written disk"
    )
    details = {"last_heard_at": heard, "attempts": machine.attempts}
    return Event(
        Kind.MACHINE_HEARTBEAT_FAILED,
        Actor.SYSTEM,
        summary,
        machine_subject(machine.mac),
        details=details,
    )


def held(machine: Machine) -> Event:
    """So many attempts have failed that no further one is made."""
    if machine.boot_mode is BootMode.INVENTORY:
        outcome = "no inventory arrived: it boots its disk until it is saved again"
    else:
        outcome = "no flash succeeded: it is held and boots nothing until it is saved again"
    return Event(
        Kind.MACHINE_ATTEMPTS_FAILED,
        Actor.SYSTEM,
        f"{machine.mac}: {machine.attempts} attempts, and {outcome}",
        machine_subject(machine.mac),
        details={"attempts": machine.attempts, "boot_mode": machine.boot_mode.value},
    )


def held_back(machine: Machine, decision: Decision) -> Event:
    """A rule of the site keeps a flash from beginning."""
    hold = decision.hold
    words = hold.words if hold else decision.reason.value
    details = {"rule": decision.reason.value, "until": hold.until if hold else None}
    summary = f"{machine.mac} is not flashed now: {words}"
    subject = machine_subject(machine.mac)
    return Event(Kind.FLASH_HELD_BACK, Actor.SYSTEM, summary, subject, details=details)


def _assigned(wanted: Assignment) -> dict[str, object]:
    return {
        "bty_image_ref": wanted.image_ref,
        "boot_mode": wanted.boot_mode.value,
        "sanboot_drive": wanted.sanboot_drive,
        "labels": list(wanted.labels),
        "target_disk_serial": wanted.target_disk_serial,
        **{f"flash_{key}": value for key, value in asdict(wanted.own).items() if value},
    }


def _by_client(
    kind: Kind,
    mac: Mac,
    summary: str,
    ip: str | None,
    details: Mapping[str, object] | None = None,
) -> Event:
    return Event(kind, Actor.PXE_CLIENT, summary, machine_subject(mac), ip, details)


def _words(decision: Decision) -> str:
    match decision.offer:
        case LiveEnv(purpose):
            return f"the live environment ({purpose.value}, {decision.reason.value})"
        case Wait(seconds):
            return f"to wait {seconds} s ({decision.reason.value})"
        case _:
            return f"its disk ({decision.reason.value})"

"""Machines, for operators' scripts (CONTRACT 3.8)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict

import falcon

from bty_app.domain.flash_options import OWN_DONES, OWN_VERIFIES, OWN_WIPES
from bty_app.domain.mac import Mac, parse_mac
from bty_app.domain.machine import (
    DRIVE,
    LABEL,
    MAX_LABELS,
    MAX_SERIAL,
    Assignment,
    assigned,
    parse_assignment,
)
from bty_app.domain.moments import with_z
from bty_app.errors import NotFoundError, PreconditionError
from bty_app.services.machines import Machines, Shown
from bty_app.web.api.values import MAC, MAYBE_MOMENT, MAYBE_TEXT, MODE, MOMENT, REF
from bty_app.web.box_shapes import PRINTABLE
from bty_app.web.operations import Body, Operation, answers, declared, nothing
from bty_app.web.records import Items, Record, record
from bty_app.web.shapes import Anything, Flag, Nullable, Shape, Text

ETAG = "What is set of it; If-Match of a PUT may say it."
_LABELS = Items(Text(pattern=LABEL.pattern), MAX_LABELS)
_DRIVE = Nullable(Text("The drive that iPXE boots.", pattern=DRIVE.pattern))
_WIPE = Nullable(
    Text("How its disk is erased before a flash; null: as the settings.", one_of=OWN_WIPES)
)
_VERIFY = Nullable(
    Text("Whether all is read back after a flash; null: as the settings.", one_of=OWN_VERIFIES)
)
_DONE = Nullable(
    Text(
        "When a flash of it is done: written, or once its system is up; null: as the settings.",
        one_of=OWN_DONES,
    )
)
_KNOWN_DISK = record(
    "Disk",
    path=Text(),
    size=MAYBE_TEXT,
    vendor=MAYBE_TEXT,
    model=MAYBE_TEXT,
    serial=MAYBE_TEXT,
    tran=MAYBE_TEXT,
    removable=Flag(),
    readonly=Flag(),
)
_OWN: dict[str, Shape] = {"flash_wipe": _WIPE, "flash_verify": _VERIFY, "flash_done": _DONE}
_CONTRACT: dict[str, Shape] = {
    "mac": MAC,
    "bty_image_ref": Nullable(REF),
    "labels": _LABELS,
    "discovered_at": MAYBE_MOMENT,
    "last_seen_at": MAYBE_MOMENT,
    "last_seen_ip": MAYBE_TEXT,
    "boot_mode": MODE,
    "sanboot_drive": _DRIVE,
    "last_flashed_at": MAYBE_MOMENT,
    "known_disks": Nullable(Items(_KNOWN_DISK)),
    "known_disks_at": MAYBE_MOMENT,
    "target_disk_serial": MAYBE_TEXT,
    "created_at": MOMENT,
    "updated_at": MOMENT,
}
_BOOTED: dict[str, Shape] = {"booted_at": MOMENT}
MACHINE = Record(_CONTRACT | _OWN | _BOOTED, "Machine", optional=frozenset({*_OWN, *_BOOTED}))
UPSERT = Record(
    {
        "boot_mode": MODE,
        "bty_image_ref": Nullable(REF),
        "target_disk_serial": Nullable(Text(most=MAX_SERIAL, pattern=PRINTABLE)),
        "sanboot_drive": _DRIVE,
        "labels": _LABELS,
        **_OWN,
    },
    "MachineUpsert",
    optional=frozenset(
        {
            *("boot_mode", "bty_image_ref", "target_disk_serial", "sanboot_drive", "labels"),
            *_OWN,
        }
    ),
    example={
        "boot_mode": "bty-flash-once",
        "bty_image_ref": "fd71e8fc677936862e2569e66264f4c93096be956bea507df6435f475118a163",
        "target_disk_serial": "S64ENX0T123456",
        "labels": ["rack-3"],
    },
)
_SAVE = Operation(
    answers("It is saved.", MACHINE, ETag=ETAG),
    body=Body(UPSERT, parse=parse_assignment),
    refuses=(409, 412),
)


class MachineList:
    """All machines."""

    operations = declared(GET=Operation(answers("All machines.", Items(MACHINE))))

    def __init__(self, machines: Machines) -> None:
        self._machines = machines

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """An array in the order of MACs, streamed."""
        resp.content_type = falcon.MEDIA_JSON
        resp.stream = _array(self._machines.every())


class MachineByMac:
    """One machine."""

    operations = declared(
        GET=Operation(answers("The machine.", MACHINE, ETag=ETAG)),
        PUT=_SAVE,
        DELETE=Operation(nothing("It is forgotten.")),
    )

    def __init__(self, machines: Machines) -> None:
        self._machines = machines

    def on_get(self, _req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """The record."""
        _send(resp, self._machines.get(parse_mac(mac)))

    def on_put(self, req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """Replace what is set, and arm anew; an unknown machine is created. With If-Match, only
        when it is still set as that ETag says.
        """
        _send(resp, saved(self._machines, req, mac, _SAVE.body_of(req)))

    def on_delete(self, req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """Forget it; 204."""
        self._machines.forget(parse_mac(mac), ip=req.context.client_ip)
        resp.status = 204


class Hardware:
    """A stored inventory, verbatim: `disks` or `lshw`."""

    operations = declared(GET=Operation(answers("What is stored.", Anything())))

    def __init__(self, machines: Machines, *, what: str) -> None:
        self._machines = machines
        self._what = what

    def on_get(self, _req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """The JSON text as it is stored."""
        machine = parse_mac(mac)
        read = self._machines.lshw if self._what == "lshw" else self._machines.known_disks
        resp.content_type = falcon.MEDIA_JSON
        resp.text = read(machine)
        name = f"{machine.replace(':', '-')}-{self._what}.json"
        resp.set_header("Content-Disposition", f'attachment; filename="{name}"')


def saved(machines: Machines, req: falcon.Request, mac: str, wanted: Assignment) -> Shown:
    """Save what is wanted of a machine, where it is still set as If-Match says.

    Raises:
        PreconditionError: it is not.
    """
    machine = parse_mac(mac)
    seen = _seen(machines, machine, req.get_header("If-Match"))
    return machines.save(machine, wanted, ip=req.context.client_ip, seen=seen)


def _seen(machines: Machines, mac: Mac, if_match: str | None) -> Assignment | None:
    """What is set now, where that must be what If-Match says; the save checks it once more."""
    if if_match is None:
        return None
    try:
        now = set_of(machines.get(mac))
    except NotFoundError as error:
        raise PreconditionError(f"If-Match: there is no record of {mac}") from error
    if not {"*", etag_of(now)} & {tag.strip() for tag in if_match.split(",")}:
        raise PreconditionError(f"If-Match: {mac} is set otherwise by now: look again")
    return now


def etag_of(what: Assignment) -> str:
    """A strong validator of what an operator sets. A contact of the box leaves it as it is."""
    digest = hashlib.sha256(json.dumps(asdict(what)).encode()).hexdigest()
    return f'"{digest[:32]}"'


def as_json(shown: Shown) -> dict[str, object]:
    """The `Machine` of the wire contract."""
    machine = shown.machine
    return {
        "mac": machine.mac,
        "bty_image_ref": machine.image_ref,
        "labels": list(shown.labels),
        "discovered_at": with_z(machine.discovered_at),
        "last_seen_at": with_z(machine.last_seen_at),
        "last_seen_ip": machine.last_seen_ip,
        "boot_mode": machine.boot_mode.value,
        "sanboot_drive": machine.sanboot_drive,
        "last_flashed_at": with_z(machine.last_flashed_at),
        "known_disks": json.loads(shown.known_disks) if shown.known_disks else None,
        "known_disks_at": with_z(machine.known_disks_at),
        "target_disk_serial": machine.target_disk_serial,
        "created_at": with_z(machine.created_at),
        "updated_at": with_z(machine.updated_at),
        # Behind the keys of the contract, and only where something is said.
        **{f"flash_{key}": word for key, word in asdict(machine.own).items() if word},
        **({"booted_at": with_z(machine.booted_at)} if machine.booted_at else {}),
    }


def set_of(shown: Shown) -> Assignment:
    """What an operator has set of it."""
    return assigned(shown.machine, shown.labels)


def _send(resp: falcon.Response, shown: Shown) -> None:
    resp.set_header("ETag", etag_of(set_of(shown)))
    resp.media = as_json(shown)


def _array(machines: Iterator[Shown]) -> Iterator[bytes]:
    before = b"["
    for shown in machines:
        yield before + json.dumps(as_json(shown)).encode()
        before = b","
    yield b"[]" if before == b"[" else b"]"

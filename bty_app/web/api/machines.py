"""Machines, for operators' scripts (CONTRACT 3.8)."""

from __future__ import annotations

import json
from collections.abc import Iterator

import falcon

from bty_app.domain.mac import parse_mac
from bty_app.domain.machine import parse_assignment
from bty_app.domain.moments import with_z
from bty_app.services.machines import Machines, Shown
from bty_app.web import body

MAX_BODY = 64 * 1024


class MachineList:
    """All machines."""

    def __init__(self, machines: Machines) -> None:
        self._machines = machines

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """An array in the order of MACs, streamed."""
        resp.content_type = falcon.MEDIA_JSON
        resp.stream = _array(self._machines.every())


class MachineByMac:
    """One machine."""

    def __init__(self, machines: Machines) -> None:
        self._machines = machines

    def on_get(self, _req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """The record."""
        resp.media = as_json(self._machines.get(parse_mac(mac)))

    def on_put(self, req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """Replace what is set, and arm anew; an unknown machine is created."""
        wanted = parse_assignment(body.json_object(req, MAX_BODY))
        saved = self._machines.save(parse_mac(mac), wanted, ip=req.context.client_ip)
        resp.media = as_json(saved)

    def on_delete(self, req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """Forget it; 204."""
        self._machines.forget(parse_mac(mac), ip=req.context.client_ip)
        resp.status = 204


class Hardware:
    """A stored inventory, verbatim: `disks` or `lshw`."""

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
    }


def _array(machines: Iterator[Shown]) -> Iterator[bytes]:
    before = b"["
    for shown in machines:
        yield before + json.dumps(as_json(shown)).encode()
        before = b","
    yield b"[]" if before == b"[" else b"]"

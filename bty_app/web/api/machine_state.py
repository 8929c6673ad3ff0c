"""A machine with where it is in its cycle, for operators' scripts (under /api/v1)."""

from __future__ import annotations

from dataclasses import asdict

import falcon

from bty_app.domain.mac import parse_mac
from bty_app.domain.machine import Phase, State, parse_assignment
from bty_app.domain.moments import stamp, with_z
from bty_app.services.machines import Machines, Shown
from bty_app.web.api.machines import ETAG, MACHINE, UPSERT, as_json, etag_of, saved, set_of
from bty_app.web.api.values import BYTES, MAYBE_MOMENT, MAYBE_TEXT, MOMENT
from bty_app.web.operations import Body, Operation, answers, declared, nothing
from bty_app.web.records import Record, record
from bty_app.web.shapes import Flag, Nullable, Text, Whole, words_of

_PROGRESS = record(
    at=MOMENT,
    phase=Text("What the live environment does."),
    bytes_done=Nullable(BYTES),
    bytes_total=Nullable(BYTES),
    rate=Nullable(Whole("Bytes a second.")),
    error=MAYBE_TEXT,
)
MACHINE_STATE = Record(
    {
        **MACHINE.fields,
        "phase": Text("Where it is in its cycle.", one_of=words_of(Phase)),
        "phase_at": MAYBE_MOMENT,
        "attempts": Whole("Attempts of this cycle."),
        "disk_suspect": Flag("What is on its disk is not proven, and is not booted."),
        "progress": Nullable(_PROGRESS),
    },
    "MachineState",
    optional=MACHINE.optional,
)
_DETAIL = Record(
    {
        **MACHINE_STATE.fields,
        "state": Text("How it is at a glance.", one_of=words_of(State)),
        "architecture": Nullable(
            Text("x86_64, arm64 or i386, where its inventory or its firmware says so.")
        ),
    },
    "MachineDetail",
    optional=MACHINE.optional,
)
_SAVE = Operation(
    answers("It is saved.", MACHINE_STATE, ETag=ETAG),
    body=Body(UPSERT, parse=parse_assignment),
    refuses=(409, 412),
)


class MachineState:
    """`/api/v1/machines/{mac}`."""

    operations = declared(
        GET=Operation(answers("The machine.", _DETAIL, ETag=ETAG)),
        PUT=_SAVE,
        DELETE=Operation(nothing("It is forgotten.")),
    )

    def __init__(self, machines: Machines) -> None:
        self._machines = machines

    def on_get(self, _req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """The record, where the machine is in its cycle, and how far a flash is."""
        shown = self._machines.get(parse_mac(mac))
        resp.set_header("ETag", etag_of(set_of(shown)))
        resp.media = detail_json(self._machines, shown)

    def on_put(self, req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """Replace what is set, and arm anew; an unknown machine is created. With If-Match, only
        when it is still set as that ETag says.
        """
        _send(resp, saved(self._machines, req, mac, _SAVE.body_of(req)))

    def on_delete(self, req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """Forget it; 204."""
        self._machines.forget(parse_mac(mac), ip=req.context.client_ip)
        resp.status = 204


def _send(resp: falcon.Response, shown: Shown) -> None:
    resp.set_header("ETag", etag_of(set_of(shown)))
    resp.media = state_json(shown)


def detail_json(machines: Machines, shown: Shown) -> dict[str, object]:
    """One machine by itself: what would be dear for each row of a list comes along."""
    mac = shown.machine.mac
    return {
        **state_json(shown),
        "state": machines.state(mac).value,
        "architecture": machines.architecture(mac),
    }


def state_json(shown: Shown) -> dict[str, object]:
    """A machine as plain data, with its cycle."""
    machine, progress = shown.machine, shown.progress
    return {
        **as_json(shown),
        "phase": machine.phase.value,
        "phase_at": with_z(stamp(machine.phase_at)) if machine.phase_at else None,
        "attempts": machine.attempts,
        "disk_suspect": machine.disk_suspect,
        "progress": asdict(progress) | {"at": with_z(progress.at)} if progress else None,
    }

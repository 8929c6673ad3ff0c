"""What a machine is made of, and was, for operators' scripts (under /api/v1)."""

from __future__ import annotations

from dataclasses import asdict

import falcon

from bty_app.domain.mac import parse_mac
from bty_app.services.hardware import Hardware
from bty_app.services.machines import Machines
from bty_app.web.api.values import MAC, MAYBE_TEXT, MOMENT
from bty_app.web.operations import JSON, Operation, answers, declared
from bty_app.web.records import Items, Record, record
from bty_app.web.shapes import Anything, Nullable, Text, Whole

_PART = record(key=Text("What it is known by."), words=Text())
_FACTS = record(
    "Hardware",
    disks=Items(_PART),
    nics=Nullable(Items(_PART)),
    cpus=Nullable(Items(Text())),
    memory_bytes=Nullable(Whole()),
    board=MAYBE_TEXT,
    firmware=MAYBE_TEXT,
    system=MAYBE_TEXT,
)
_ENTRY = record(number=Whole(), at=MOMENT, changes=Items(Text("What had changed, as a sentence.")))
_HISTORY = record("HardwareHistory", mac=MAC, now=_FACTS, history=Items(_ENTRY))
_REPORT = Record({"disks": Anything(), "lshw": Anything()}, "HardwareReport")


class HardwareHistory:
    """`/api/v1/machines/{mac}/hardware`."""

    operations = declared(GET=Operation(answers("Its hardware.", _HISTORY)))

    def __init__(self, machines: Machines, hardware: Hardware) -> None:
        self._machines = machines
        self._hardware = hardware

    def on_get(self, _req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """The hardware of the last inventory; and the inventories that differed from the one
        before, newest first, as far as they are kept.
        """
        machine = self._machines.get(parse_mac(mac)).machine.mac
        resp.media = {
            "mac": machine,
            "now": asdict(self._hardware.facts(machine)),
            "history": [
                {"number": entry.id, "at": entry.at, "changes": list(entry.changes)}
                for entry in self._hardware.history(machine)
            ],
        }


class HardwareReport:
    """`/api/v1/machines/{mac}/hardware/{number}`."""

    operations = declared(GET=Operation(answers("The inventory.", _REPORT)))

    def __init__(self, hardware: Hardware) -> None:
        self._hardware = hardware

    def on_get(self, _req: falcon.Request, resp: falcon.Response, mac: str, number: int) -> None:
        """One of these inventories, as it was reported."""
        resp.text = self._hardware.report(parse_mac(mac), number)
        resp.content_type = JSON

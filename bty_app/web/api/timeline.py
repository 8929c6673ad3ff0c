"""One machine beyond the contract's routes, for operators' scripts."""

from __future__ import annotations

import falcon

from bty_app.domain.boot_stages import Seen, Stage
from bty_app.domain.boot_timeline import Boot, Kind
from bty_app.domain.mac import parse_mac
from bty_app.domain.moments import stamp, with_z
from bty_app.errors import NotFoundError
from bty_app.services.boot_stages import BootStages
from bty_app.services.machines import Machines
from bty_app.web.api.values import MAC, MAYBE_TEXT, MOMENT
from bty_app.web.operations import Operation, answers, declared
from bty_app.web.records import Items, Keyed, Record, record
from bty_app.web.shapes import Anything, Nullable, Text, Whole, words_of

_STAGE = Record(
    {
        "at": MOMENT,
        "last_at": MOMENT,
        "times": Whole("How often it was seen.", least=1),
        "stage": Text(one_of=words_of(Stage)),
        "ip": MAYBE_TEXT,
        "detail": Keyed(Anything("Plain values.")),
    },
    "Stage",
)
_HANG = record(what=Text("What did not come."), cause=Text(), remedy=Text())
_BOOT = record(
    "Boot",
    began_at=MOMENT,
    until=MOMENT,
    state=Text(one_of=words_of(Kind)),
    summary=Text(),
    hang=Nullable(_HANG),
    stages=Items(_STAGE),
)


class Timeline:
    """The boots of a machine, stage by stage."""

    operations = declared(
        GET=Operation(answers("Its boots.", record("Timeline", mac=MAC, boots=Items(_BOOT))))
    )

    def __init__(self, machines: Machines, stages: BootStages) -> None:
        self._machines = machines
        self._stages = stages

    def on_get(self, _req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """Its boots, newest first; of each the stages, what it came to, and where it hangs."""
        machine = parse_mac(mac)
        found = self._stages.timeline(machine)
        if not found and not self._machines.exists(machine):
            raise NotFoundError(f"no machine record for {machine}, and no stage of a boot of it")
        resp.media = {"mac": machine, "boots": [_boot(boot) for boot in found]}


def _boot(boot: Boot) -> dict[str, object]:
    hang = boot.hang
    return {
        "began_at": with_z(stamp(boot.began)),
        "until": with_z(stamp(boot.until)),
        "state": boot.kind.value,
        "summary": boot.words,
        "hang": hang and {"what": hang.missing, "cause": hang.cause, "remedy": hang.remedy},
        "stages": [_stage(seen) for seen in boot.stages],
    }


def _stage(seen: Seen) -> dict[str, object]:
    return {
        "at": with_z(stamp(seen.at)),
        "last_at": with_z(stamp(seen.until)),
        "times": seen.times,
        "stage": seen.stage.value,
        "ip": seen.ip,
        "detail": dict(seen.detail),
    }

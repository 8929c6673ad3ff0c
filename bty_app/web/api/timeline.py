"""One machine beyond the contract's routes, for operators' scripts."""

from __future__ import annotations

import falcon

from bty_app.domain.boot_stages import Seen
from bty_app.domain.boot_timeline import Boot
from bty_app.domain.mac import parse_mac
from bty_app.domain.moments import stamp, with_z
from bty_app.errors import NotFoundError
from bty_app.services.boot_stages import BootStages
from bty_app.services.machines import Machines


class Timeline:
    """The boots of a machine, stage by stage."""

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

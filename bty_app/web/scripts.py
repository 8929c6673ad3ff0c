"""A decision as the script that firmware gets, for firmware and for people who look."""

from __future__ import annotations

from dataclasses import replace

from bty_app.domain.boot import LiveEnv
from bty_app.netboot import ipxe
from bty_app.services.boot_files import BootFiles
from bty_app.services.client import Client
from bty_app.services.decisions import Decided


class Scripts:
    """Writes scripts of decisions."""

    def __init__(self, files: BootFiles, client: Client) -> None:
        self._files = files
        self._client = client

    def of(self, what: Decided, base_url: str) -> str:
        """The script; `base_url` is the address of this server as the machine has it."""
        machine, decision = what.machine, what.decision
        context = ipxe.Context(base_url, machine.mac, disk_suspect=machine.disk_suspect)
        if isinstance(decision.offer, LiveEnv):
            live = self._files.live()
            ours = not live.has_squashfs or (live.arm64 and not live.arm64.has_squashfs)
            digest = self._client.sha256 if ours else ""
            context = replace(context, live=live, client_sha256=digest)
        return ipxe.script(decision.offer, context, because=decision.reason.value)

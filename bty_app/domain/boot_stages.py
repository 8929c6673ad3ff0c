"""The stages of a boot that any part of the server saw, and how they are kept small."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from bty_app.domain.machine import has_control_characters

# What is said again within this time belongs to the same boot; a script that leads on, only when
# iPXE asks twice: the next one like it is that of the next boot.
SAME_BOOT = timedelta(minutes=10)
AT_ONCE = timedelta(seconds=10)
MAX_DETAILS = 12
MAX_TEXT = 200

# What firmware says in option 93 (RFC 4578); 0 says no more than that it has a BIOS.
_TOLD = {7: "x86_64", 9: "x86_64", 16: "x86_64", 11: "arm64", 19: "arm64"}

Value = str | int | float | bool | None


class Stage(StrEnum):
    """Everything that can be seen of a boot, in the order in which it happens."""

    DHCP_ASKED = "dhcp.asked"
    DHCP_OFFERED = "dhcp.offered"
    DHCP_IGNORED = "dhcp.ignored"
    TFTP_STARTED = "tftp.started"
    TFTP_DONE = "tftp.done"
    TFTP_FAILED = "tftp.failed"
    HTTP_LOADER = "http.loader"
    BOOTSTRAP = "ipxe.bootstrap"
    SCRIPT = "ipxe.script"
    KERNEL_STARTED = "kernel.started"
    KERNEL_DONE = "kernel.done"
    KERNEL_FAILED = "kernel.failed"
    INITRD_STARTED = "initrd.started"
    INITRD_DONE = "initrd.done"
    INITRD_FAILED = "initrd.failed"
    CLIENT = "live.client"
    INVENTORY = "live.inventory"
    PLAN = "live.plan"
    FLASHING = "flash.phase"
    FLASHED = "flash.done"
    FLASH_FAILED = "flash.failed"
    BOOTED = "os.booted"


# They come by turns, as often as firmware asks.
_BY_TURNS = frozenset({Stage.DHCP_ASKED, Stage.DHCP_OFFERED, Stage.DHCP_IGNORED})
TURNS = 8  # how far back one that repeats itself is looked for
# What people read.
STAGE_NAMES = {
    Stage.DHCP_ASKED: "DHCP: asked",
    Stage.DHCP_OFFERED: "DHCP: boot file offered",
    Stage.DHCP_IGNORED: "DHCP: not answered",
    Stage.TFTP_STARTED: "TFTP: boot file begun",
    Stage.TFTP_DONE: "TFTP: boot file sent",
    Stage.TFTP_FAILED: "TFTP: failed",
    Stage.HTTP_LOADER: "HTTP: boot file asked for",
    Stage.BOOTSTRAP: "iPXE has started",
    Stage.SCRIPT: "Script given",
    Stage.KERNEL_STARTED: "Kernel begun",
    Stage.KERNEL_DONE: "Kernel sent",
    Stage.KERNEL_FAILED: "Kernel cut off",
    Stage.INITRD_STARTED: "Initrd begun",
    Stage.INITRD_DONE: "Initrd sent",
    Stage.INITRD_FAILED: "Initrd cut off",
    Stage.CLIENT: "Live environment has started",
    Stage.INVENTORY: "Hardware reported",
    Stage.PLAN: "Plan given",
    Stage.FLASHING: "Flash",
    Stage.FLASHED: "Flash complete",
    Stage.FLASH_FAILED: "Flash failed",
    Stage.BOOTED: "Its system is up",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """One stage of one machine. One that repeats itself is kept once, with how often and until."""

    at: datetime
    stage: Stage
    ip: str | None = None
    detail: Mapping[str, Value] = field(default_factory=dict)
    times: int = 1
    last_at: datetime | None = None

    @property
    def until(self) -> datetime:
        """When it was last seen."""
        return self.last_at or self.at


def said_before(earlier: Sequence[Seen], now: Seen) -> int | None:
    """The place in `earlier` (oldest first) of what `now` says again; None when it is news.

    Only the last can be said again, but for DHCP: there, the last few that are of DHCP.
    """
    for place in range(len(earlier) - 1, max(len(earlier) - TURNS, 0) - 1, -1):
        if repeats(earlier[place], now):
            return place
        if not {earlier[place].stage, now.stage} <= _BY_TURNS:
            break
    return None


def architecture_told(stages: Sequence[Seen]) -> str | None:
    """That of the machine, as its firmware last told proxy DHCP; the stages oldest first."""
    for seen in reversed(stages):
        code = seen.detail.get("architecture")
        if seen.stage is Stage.DHCP_OFFERED and isinstance(code, int) and code in _TOLD:
            return _TOLD[code]
    return None


def repeats(before: Seen, after: Seen) -> bool:
    """Does `after` say again what `before` said, in the same boot?"""
    if before.stage is not after.stage or dict(before.detail) != dict(after.detail):
        return False
    waits = before.stage is not Stage.SCRIPT or before.detail.get("offer") == "wait"
    return after.at - before.until <= (SAME_BOOT if waits else AT_ONCE)


def merged(before: Seen, after: Seen) -> Seen:
    """Both in one, where `after` repeats `before`."""
    until = max(before.until, after.until)
    return replace(before, ip=after.ip, times=before.times + after.times, last_at=until)


def plain(detail: object) -> dict[str, Value]:
    """What may be kept of `detail`: a bounded number of plain values, texts cut short.

    A text alone is kept as `{"text": …}`. Control characters become spaces.
    """
    if not isinstance(detail, Mapping):
        return {} if detail in (None, "") else {"text": _cut(str(detail))}
    kept: dict[str, Value] = {}
    for key, value in list(detail.items())[:MAX_DETAILS]:
        known = value is None or isinstance(value, bool | int | float)
        kept[_cut(str(key))] = value if known else _cut(str(value))
    return kept


def as_text(detail: Mapping[str, Value]) -> str:
    """`detail` as it is stored."""
    return json.dumps(dict(detail), sort_keys=True)


def from_text(text: str) -> dict[str, Value]:
    """`detail` as it was stored; what others have written there is left out."""
    try:
        return plain(json.loads(text))
    except (ValueError, RecursionError):
        return {}


def _cut(text: str) -> str:
    short = text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"
    return "".join(" " if has_control_characters(c) else c for c in short)

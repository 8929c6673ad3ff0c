"""A boot offer as an iPXE script (CONTRACT 4, SPEC 16).

Nothing that a machine said of itself stands in a script: only our own words, the canonical MAC,
the checked address of this server, and the checked version of the live environment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import assert_never

from bty_app.domain.artifacts import ARM64, NEEDED, X86_64, Live, live_file
from bty_app.domain.boot import FirmwareExit, LiveEnv, LocalDisk, Offer, Wait
from bty_app.domain.mac import Mac

_LIVE_ARGUMENTS = (
    "components",
    "console=tty0",
    "console=ttyS1,115200",
    "console=ttyS0,115200",
    "earlyprintk=ttyS0,115200",
    "plymouth.enable=0",
    "modprobe.blacklist=nouveau,rndis_host",
    "nouveau.modeset=0",
    "systemd.gpt_auto=0",
)
_OUR_ARGUMENTS = ("modprobe.blacklist=nouveau,rndis_host", "panic=30")
_SERIAL = {X86_64: "ttyS0", ARM64: "ttyAMA0"}
AUTOEXEC = "autoexec.ipxe"  # iPXE as a UEFI program looks for it beside itself
RETRY_SECONDS = 10
MAX_ECHO = 300
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9 .,:;()/_+'-]")
_ANSWERED = "bty-answered"  # tells the bootstrap that a script was there, whatever came of it


NO_LIVE = Live("", not_ready="no live environment is installed")


@dataclass(frozen=True, slots=True)
class Context:
    """Where the script is served from, to whom, and which live environment it boots, if one.

    `client_sha256` is the digest of the client that this server has for live environments of ours.
    """

    base_url: str
    mac: Mac
    live: Live = NO_LIVE
    disk_suspect: bool = False
    client_sha256: str = ""


def bootstrap(base_url: str) -> str:
    """The first script: go to the machine's own, and pass its failure on to the firmware.

    Without an answer (a server that restarts in this very second) it asks again: the firmware
    would go on to a disk that may be half written.
    """
    return _until_answered(f"chain {base_url}/pxe/${{mac:hexhyp}}", base_url)


def autoexec(base_url: str) -> str:
    """The script that iPXE looks for beside itself, before it asks DHCP: on to the first script."""
    return _until_answered(f"dhcp && chain {base_url}/pxe-bootstrap.ipxe", base_url)


def _until_answered(leading_on: str, base_url: str) -> str:
    lines = [
        "#!ipxe",
        ":again",
        f"{leading_on} || goto failed",
        "exit 1",
        ":failed",
        f"isset ${{{_ANSWERED}}} && exit 1 || echo bty: no answer from {base_url}, asking again",
        "sleep 5",
        "goto again",
        "",
    ]
    return "\n".join(lines)


def script(offer: Offer, context: Context, *, because: str) -> str:
    """The script that carries out `offer`; `because` is one of our own reason words."""
    match offer:
        case LiveEnv():
            lines = _live(context)
        case LocalDisk(drive, pause_seconds):
            lines = [
                f"echo bty: {context.mac}: booting the local disk {drive} ({because})",
                f"sleep {pause_seconds}",
                # A plain `exit` leaves UEFI firmware in its boot menu; a failure moves it on.
                f"sanboot --no-describe --drive {drive} || exit 1",
            ]
        case FirmwareExit():
            lines = [
                f"echo bty: {context.mac}: nothing to boot from here ({because})",
                "sleep 1",
                "exit 1",
            ]
        case Wait(seconds):
            lines = _wait(context, seconds, because)
        case _:
            assert_never(offer)
    return "\n".join(["#!ipxe", f"set {_ANSWERED} yes", *lines, ""])


def moved(base_url: str, mac: Mac, to: str) -> str:
    """Go on to the appliance at `to`, for as long as it takes to answer: this one decides nothing,
    and the firmware would go on to a disk that may be half written. Without an address: come back.
    """
    context = Context(to or base_url, mac)
    where = f"this server has moved to {to}" if to else "this server has moved"
    lines = [
        "#!ipxe",
        f"set {_ANSWERED} yes",
        f"echo bty: {mac}: {_echoed(where)}",
        *([f"chain --replace {_script_of(context)} || goto again"] if to else []),
        *_ask_again(context, RETRY_SECONDS),
        "",
    ]
    return "\n".join(lines)


def _live(context: Context) -> list[str]:
    """Only iPXE knows the processor. One that starts from a BIOS says i386 of every PC."""
    live, arm64 = context.live, context.live.arm64
    if arm64 is None:
        lines = _live_for(context, live, X86_64)
    else:
        lines = [
            f"iseq ${{buildarch}} {ARM64} && goto {ARM64} ||",
            *_live_for(context, live, X86_64),
            *(["goto again"] if context.disk_suspect else []),
            f":{ARM64}",
            *_live_for(context, arm64, ARM64),
        ]
    # A machine whose disk may be half written must not fall back to it when a file is missing.
    return [*lines, *_ask_again(context, RETRY_SECONDS)] if context.disk_suspect else lines


def _live_for(context: Context, live: Live, arch: str) -> list[str]:
    """How a machine of `arch` boots it. One whose disk may be half written goes on behind it."""
    if live.not_ready:
        return _not_ready(context, live.not_ready)
    version, mac = live.version, context.mac
    arguments = " ".join(
        _original(context, version, arch) if live.has_squashfs else _ours(context, arch)
    )
    guard = " || goto again" if context.disk_suspect else ""
    kernel, initrd = (live_file(version, suffix, arch) for suffix in NEEDED)
    return [
        f"echo bty: {mac}: booting the live environment {version}",
        *([f"echo bty: {_echoed(live.differs)}"] if live.differs else []),
        f"set bty-base {context.base_url}",
        f"kernel ${{bty-base}}/boot/{kernel}?mac={mac} {arguments}{guard}",
        f"initrd ${{bty-base}}/boot/{initrd}?mac={mac}{guard}",
        f"boot{guard}",
    ]


def _original(context: Context, version: str, arch: str) -> list[str]:
    """The kernel's arguments for a live environment of the original (CONTRACT 4.2)."""
    return [
        "boot=live",
        # live-boot cannot handle a query here
        f"fetch=${{bty-base}}/boot/{live_file(version, 'squashfs', arch)}",
        *_LIVE_ARGUMENTS,
        "bty.server=${bty-base}",
        f"bty.mac={context.mac}",
    ]


def _ours(context: Context, arch: str) -> list[str]:
    """The kernel's arguments for a live environment of ours, which is all in its initrd."""
    return [
        "rootfstype=ramfs",  # a tmpfs would take no more than half of the memory
        # One serial console is all that the kernel takes; the environment finds the other lines.
        "console=tty0",
        f"console={_SERIAL[arch]},115200",
        *_OUR_ARGUMENTS,
        "bty.server=${bty-base}",
        f"bty.mac={context.mac}",
        f"bty.client={context.client_sha256}",
    ]


def _not_ready(context: Context, why: str) -> list[str]:
    """Say on the machine's screen what the operator has to do; its disk may boot if it is sound."""
    said = f"echo bty: {context.mac}: {_echoed(why)}"
    return [said] if context.disk_suspect else [said, f"sleep {RETRY_SECONDS}", "exit 1"]


def _echoed(sentence: str) -> str:
    """Nothing that iPXE would expand, or take for the end of a command."""
    return _NOT_PLAIN.sub("?", sentence)[:MAX_ECHO]


def _wait(context: Context, seconds: int, because: str) -> list[str]:
    return [
        f"echo bty: {context.mac}: waiting {seconds} s ({because})",
        f"echo bty: see {context.base_url}/ui/machines/{context.mac}",
        *_ask_again(context, seconds),
    ]


def _ask_again(context: Context, seconds: int) -> list[str]:
    """Come back, for as long as the server is away: never give the boot to the firmware."""
    return [
        ":again",
        f"sleep {seconds}",
        f"chain --replace {_script_of(context)} || goto again",
    ]


def _script_of(context: Context) -> str:
    return f"{context.base_url}/pxe/{context.mac.replace(':', '-')}"

"""What a proxy answers to one request, without sockets: an offer, or why there is none.

A proxy never leases an address: `yiaddr` of what it sends is always zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from bty_app.netboot.dhcp import wire

PXE, HTTP = b"PXEClient", b"HTTPClient"
# PXE 2.1, option 43: discovery control (6) with bit 3, "use the boot file of the offer", then end.
# With it firmware goes straight to TFTP, and does not ask port 4011.
STRAIGHT_TO_FILE = bytes([6, 1, 8, 255])
_BOOT_ITEM = 71  # PXE 2.1: which of the boot servers it asks on 4011; the answer repeats it
# What is given back as it came: RFC 4578, 2.3, and RFC 3046, 2.1 (some relays insist on it).
_ECHOED = {wire.MACHINE_ID: range(17, 18), wire.RELAY: range(1, 256)}

# RFC 4578 and IANA, "Processor Architecture Types". 7 and 9 were swapped in an erratum: both are
# x86-64 in the field. 6 is 32-bit x86, for which there is no binary.
BIOS, X64_TFTP, ARM64_TFTP, X64_HTTP, ARM64_HTTP = 0, (7, 9), 11, 16, 19
_NAMES = {
    BIOS: "BIOS",
    6: "UEFI 32-bit x86",
    10: "UEFI 32-bit Arm",
    ARM64_TFTP: "UEFI arm64",
    **dict.fromkeys(X64_TFTP, "UEFI x86-64"),
    X64_HTTP: "UEFI x86-64, HTTP boot",
    ARM64_HTTP: "UEFI arm64, HTTP boot",
}


@dataclass(frozen=True, slots=True)
class Files:
    """Names in the TFTP root and full URLs, as the client reaches them; empty for what there is
    not. `server` is our address as the client reaches it.
    """

    server: IPv4Address
    bios: str
    x64: str
    arm64: str
    x64_url: str
    arm64_url: str
    script_url: str  # for iPXE


@dataclass(frozen=True, slots=True)
class Answer:
    reply: wire.Packet
    file: str
    architecture: int | None = None  # None for iPXE, which gets the script whatever it runs on


@dataclass(frozen=True, slots=True)
class Ignored:
    reason: str


def wants_boot(request: wire.Packet) -> bool:
    """Did it say that it is PXEClient or HTTPClient?"""
    return request.options.get(wire.VENDOR_CLASS, b"").startswith((PXE, HTTP))


def asker(request: wire.Packet) -> dict[str, str | int | float]:
    """Who asks for a boot, as a timeline keeps it: in words, and option 93."""
    told = _architectures(request)
    name = (told and _NAMES.get(told[0])) or "firmware of an unknown kind"
    words = f"iPXE ({name})" if _is_ipxe(request) else name
    shown: str | int = told[0] if len(told) == 1 else ", ".join(map(str, told)) or "not said"
    return {"text": words, "architecture": shown}


def is_question(request: wire.Packet, *, boot_port: bool) -> bool:
    """Is it for a proxy? The rest is its talk with the DHCP server."""
    wanted = wire.REQUEST if boot_port else wire.DISCOVER
    return request.op == wire.BOOTREQUEST and request.kind == wanted


def answer(request: wire.Packet, files: Files, *, boot_port: bool = False) -> Answer | Ignored:
    """The answer to a request on port 67, or on 4011 with `boot_port`."""
    if not is_question(request, boot_port=boot_port):
        return Ignored("not a question for a proxy")
    if not wants_boot(request):
        return Ignored("no network boot: option 60 is neither PXEClient nor HTTPClient")
    kind = wire.ACK if boot_port else wire.OFFER
    http = request.options[wire.VENDOR_CLASS].startswith(HTTP)
    if _is_ipxe(request):
        return Answer(
            _reply(request, kind, files.server, files.script_url, http=http), files.script_url
        )
    known = _known(files, http=http)
    told = _architectures(request)
    arch = next((arch for arch in told if arch in known), None)
    if arch is None:
        shown = ", ".join(map(str, told)) or "option 93 does not say which"
        return Ignored(f"there is nothing to boot for its architecture ({shown})")
    if not known[arch]:
        return Ignored(f"the iPXE binary for its architecture ({arch}) is missing")
    reply = _reply(request, kind, files.server, known[arch], http=http)
    return Answer(reply, known[arch], arch)


def _is_ipxe(request: wire.Packet) -> bool:
    return wire.IPXE in request.options or b"iPXE" in request.options.get(wire.USER_CLASS, b"")


def _architectures(request: wire.Packet) -> list[int]:
    """All that option 93 names: it may be a list (RFC 4578, 2.1)."""
    value = request.options.get(wire.ARCHITECTURE, b"")
    return [int.from_bytes(value[at : at + 2]) for at in range(0, len(value) // 2 * 2, 2)][:8]


def _known(files: Files, *, http: bool) -> Mapping[int, str]:
    if http:
        return {X64_HTTP: files.x64_url, ARM64_HTTP: files.arm64_url}
    return {BIOS: files.bios, ARM64_TFTP: files.arm64, **dict.fromkeys(X64_TFTP, files.x64)}


def _reply(
    request: wire.Packet, kind: int, server: IPv4Address, file: str, *, http: bool
) -> wire.Packet:
    name = file.encode("ascii")
    options = {
        wire.MESSAGE_TYPE: bytes([kind]),
        wire.SERVER_ID: server.packed,
        wire.VENDOR_CLASS: HTTP if http else PXE,
        wire.BOOT_FILE: name,
    }
    if not http:
        options[wire.TFTP_SERVER] = str(server).encode("ascii")
        options[wire.VENDOR] = _item(request) if kind == wire.ACK else STRAIGHT_TO_FILE
    for code, lengths in _ECHOED.items():
        if len(request.options.get(code, b"")) in lengths:
            options[code] = request.options[code]
    return wire.Packet(
        op=wire.BOOTREPLY,
        xid=request.xid,
        mac=request.mac,
        options=options,
        flags=wire.BROADCAST,
        ciaddr=request.ciaddr,
        siaddr=server,
        giaddr=request.giaddr,
        file=name if len(name) <= 127 else b"",  # option 67 holds it whole
    )


def _item(request: wire.Packet) -> bytes:
    """Option 43 of an answer on 4011."""
    try:
        item = wire.options_of(request.options.get(wire.VENDOR, b"")).get(_BOOT_ITEM, b"")
    except wire.BadPacketError:
        item = b""
    return bytes([_BOOT_ITEM, 4, *item, 255]) if len(item) == 4 else STRAIGHT_TO_FILE

"""What a proxy answers to one request, without sockets: an offer, or why there is none.

A proxy never leases an address: `yiaddr` of what it sends is always zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from bty_app.netboot.dhcp import wire

PXE, HTTP = b"PXEClient", b"HTTPClient"
# PXE 2.1, option 43: discovery control (6) with bit 3, "use the boot file of the offer", then end.
# With it firmware goes straight to TFTP, and does not ask port 4011.
STRAIGHT_TO_FILE = bytes([6, 1, 8, 255])

# RFC 4578 and IANA, "Processor Architecture Types". 7 and 9 were swapped in an erratum: both are
# x86-64 in the field. 6 is 32-bit x86, for which there is no binary.
BIOS, X64_TFTP, ARM64_TFTP, X64_HTTP, ARM64_HTTP = 0, (7, 9), 11, 16, 19


@dataclass(frozen=True, slots=True)
class Files:
    """Names in the TFTP root and full URLs, as the client reaches them."""

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


@dataclass(frozen=True, slots=True)
class Ignored:
    reason: str


def answer(request: wire.Packet, files: Files, *, boot_port: bool = False) -> Answer | Ignored:
    """The answer to a request on port 67, or on 4011 with `boot_port`."""
    wanted, kind = (wire.REQUEST, wire.ACK) if boot_port else (wire.DISCOVER, wire.OFFER)
    if request.op != wire.BOOTREQUEST or request.kind != wanted:
        return Ignored("not a question for a proxy")
    vendor = request.options.get(wire.VENDOR_CLASS, b"")
    if not vendor.startswith((PXE, HTTP)):
        return Ignored("no network boot: option 60 is neither PXEClient nor HTTPClient")
    file = _file(request, files, http=vendor.startswith(HTTP))
    if isinstance(file, Ignored):
        return file
    return Answer(_reply(request, kind, files.server, file, vendor), file)


def _file(request: wire.Packet, files: Files, *, http: bool) -> str | Ignored:
    if wire.IPXE in request.options or b"iPXE" in request.options.get(wire.USER_CLASS, b""):
        return files.script_url
    value = request.options.get(wire.ARCHITECTURE, b"")
    if len(value) < 2 or len(value) % 2:
        return Ignored("option 93 does not say the architecture")
    arch = int.from_bytes(value[:2])
    if http:
        known = {X64_HTTP: files.x64_url, ARM64_HTTP: files.arm64_url}
    else:
        known = {BIOS: files.bios, ARM64_TFTP: files.arm64, **dict.fromkeys(X64_TFTP, files.x64)}
    return known.get(arch) or Ignored(f"nothing to boot for architecture {arch}")


def _reply(
    request: wire.Packet, kind: int, server: IPv4Address, file: str, vendor: bytes
) -> wire.Packet:
    http = vendor.startswith(HTTP)
    name = file.encode("ascii")
    options = {
        wire.MESSAGE_TYPE: bytes([kind]),
        wire.SERVER_ID: server.packed,
        wire.VENDOR_CLASS: HTTP if http else PXE,
        wire.BOOT_FILE: name,
    }
    if not http:
        options[wire.TFTP_SERVER] = str(server).encode("ascii")
        options[wire.VENDOR] = STRAIGHT_TO_FILE
    if len(request.options.get(wire.MACHINE_ID, b"")) == 17:  # RFC 4578, 2.3: it is echoed
        options[wire.MACHINE_ID] = request.options[wire.MACHINE_ID]
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

"""Asks the LAN what DHCP hands out, as a UEFI machine would; takes no lease.

An offer that is not accepted holds its address for a short while, no longer.
"""

from __future__ import annotations

import fcntl
import secrets
import selectors
import socket
import struct
import time
from collections.abc import Iterator
from ipaddress import IPv4Address

from bty_app.domain.dhcp_offers import LanOffer
from bty_app.errors import BtyError, UnavailableError
from bty_app.netboot import datagrams
from bty_app.netboot.datagrams import Datagram
from bty_app.netboot.dhcp import wire
from bty_app.netboot.dhcp.offer import X64_TFTP
from bty_app.netboot.dhcp.server import CLIENT_PORT, SERVER_PORT

SECONDS = 3.0
MAX_INTERFACES = 16
MAX_ANSWERS = 64
_SIOCGIFADDR = 0x8915  # netdevice(7)
_WANTED = bytes([1, wire.ROUTER, wire.VENDOR, wire.SERVER_ID, wire.TFTP_SERVER, wire.BOOT_FILE])


def ask_lan(seconds: float = SECONDS) -> tuple[tuple[str, ...], tuple[LanOffer, ...]]:
    """One DISCOVER on each interface that has an address; those interfaces, and what came back
    within `seconds`.

    Raises:
        UnavailableError: this takes rights that we do not have, or port 68 alone.
    """
    own = dict(_own_addresses())
    xid, mac = secrets.randbits(32), b"\x02" + secrets.token_bytes(5)
    question = wire.build(discover(xid, mac))
    try:
        bound = datagrams.bind(CLIENT_PORT, purpose="DHCP client", flag="--deep", shared=True)
    except BtyError as error:
        raise UnavailableError(
            "what DHCP hands out is not known: asking takes UDP port 68, which only root has, and"
            " shares with no client of this host that keeps it for itself"
        ) from error
    with bound:
        for name, address in own.items():
            there = Datagram(b"", ("", 0), socket.if_nametoindex(name), address)
            datagrams.send(bound, question, ("255.255.255.255", SERVER_PORT), answering=there)
        answers = list(_answers(bound, seconds))
    found = {
        offer: None
        for packet in answers
        if (offer := _offer(packet, xid, own)) and offer.interface in own
    }
    return tuple(own), tuple(found)


def discover(xid: int, mac: bytes) -> wire.Packet:
    """What a UEFI machine says that boots from the network (RFC 4578)."""
    options = {
        wire.MESSAGE_TYPE: bytes([wire.DISCOVER]),
        wire.PARAMETERS: _WANTED,
        wire.VENDOR_CLASS: b"PXEClient:Arch:00007:UNDI:003016",
        wire.ARCHITECTURE: X64_TFTP[0].to_bytes(2),
        wire.UNDI: bytes([1, 3, 16]),
        wire.MACHINE_ID: bytes([0]) + mac.rjust(16, b"\0"),
    }
    return wire.Packet(wire.BOOTREQUEST, xid, mac, options, flags=wire.BROADCAST)


def _answers(bound: socket.socket, seconds: float) -> Iterator[Datagram]:
    until = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        selector.register(bound, selectors.EVENT_READ)
        for _ in range(MAX_ANSWERS):
            left = until - time.monotonic()
            if left <= 0 or not selector.select(left):
                return
            if packet := datagrams.receive(bound, wire.MAX_PACKET + 1):
                yield packet


def _offer(packet: Datagram, xid: int, own: dict[str, IPv4Address]) -> LanOffer | None:
    try:
        reply = wire.parse(packet.data)
    except wire.BadPacketError:
        return None
    if (reply.op, reply.kind, reply.xid) != (wire.BOOTREPLY, wire.OFFER, xid):
        return None
    told = reply.options.get(wire.SERVER_ID, b"")
    server = IPv4Address(told) if len(told) == 4 else IPv4Address(packet.peer[0])
    file = reply.options.get(wire.BOOT_FILE, b"").rstrip(b"\0") or reply.file
    return LanOffer(
        interface=datagrams.interface_name(packet.interface),
        server=str(server),
        address=str(reply.yiaddr) if int(reply.yiaddr) else "",
        boot_file=_plain(file),
        next_server=str(reply.siaddr if int(reply.siaddr) else server),
        is_ours=server in own.values(),
    )


def _plain(text: bytes) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:200].decode("ascii", "replace"))


def _own_addresses() -> Iterator[tuple[str, IPv4Address]]:
    """Interfaces with their first address, but for those of this host alone."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for _index, name in socket.if_nameindex()[:MAX_INTERFACES]:
            request = struct.pack("256s", name.encode()[:15])
            try:
                answer = fcntl.ioctl(any_socket, _SIOCGIFADDR, request)
            except OSError:  # it has none
                continue
            address = IPv4Address(answer[20:24])
            if not address.is_loopback:
                yield name, address

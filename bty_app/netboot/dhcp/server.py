"""Proxy DHCP sockets: port 67 and the boot server's 4011, one thread.

It answers those that say they boot from the network, and nobody else; it leases nothing.
"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable
from ipaddress import IPv4Address

from bty_app.domain.bounds import Buckets, Rate
from bty_app.netboot import datagrams
from bty_app.netboot.around import Around
from bty_app.netboot.datagrams import Datagram
from bty_app.netboot.dhcp import wire
from bty_app.netboot.dhcp.offer import Files, Ignored, answer, asker, is_question, wants_boot

SERVER_PORT, CLIENT_PORT, BOOT_PORT = 67, 68, 4011
TICK = 0.25  # seconds
# A rack that is switched on asks at once; a loop of packets must not become one of answers.
ALL = Rate(burst=1000, per_second=200)
EACH = Rate(burst=10, per_second=1)  # of one MAC
_EVERYBODY = "255.255.255.255"


class ProxyDhcpServer:
    """Both sockets are bound by the caller (`datagrams.bind`), and stay open.

    `files` gives what is offered to those who reach us at an address.
    """

    def __init__(
        self,
        listening: socket.socket,
        boot: socket.socket,
        files: Callable[[IPv4Address], Files],
        around: Around,
    ) -> None:
        self._listening, self._boot = listening, boot
        self._files, self._around = files, around
        self._all = Buckets(ALL, capacity=1)
        self._each = Buckets(EACH)

    def run(self, stopping: Callable[[], bool]) -> None:
        """Answer until `stopping`, looked at every 0.25 s."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._listening, selectors.EVENT_READ)
            selector.register(self._boot, selectors.EVENT_READ)
            while not stopping():
                for key, _events in selector.select(TICK):
                    bound = self._boot if key.fileobj is self._boot else self._listening
                    if packet := datagrams.receive(bound, wire.MAX_PACKET + 1):
                        self._take(bound, packet)

    def _take(self, bound: socket.socket, packet: Datagram) -> None:
        if not packet.local.packed.strip(b"\0") or not self._around.serves(packet.interface):
            return
        ip = packet.peer[0]
        try:
            request = wire.parse(packet.data)
        except wire.BadPacketError as error:
            self._around.tell(None, ip, "dhcp.malformed", {"reason": str(error)})
            return
        if request.op != wire.BOOTREQUEST or _is_no_relay(request.giaddr):
            return
        if not wants_boot(request):
            self._around.tell(None, ip, "dhcp.other", {})
            return
        self._learn(request)
        if is_question(request, boot_port=bound is self._boot):
            self._answer(bound, packet, request)

    def _answer(self, bound: socket.socket, packet: Datagram, request: wire.Packet) -> None:
        mac, ip = _mac(request), _address(packet, request)
        at = self._around.monotonic()
        # Asked is told before the bound of all: who is held back by others is to be seen.
        chatters = not self._each.take(mac, at)
        if not chatters:
            self._around.tell(mac, ip, "dhcp.asked", asker(request))
        if chatters or not self._all.take("", at):
            self._around.tell(mac, ip, "dhcp.held-back", {})
            return
        found = answer(request, self._files(packet.local), boot_port=bound is self._boot)
        if isinstance(found, Ignored):
            self._around.tell(mac, ip, "dhcp.ignored", {"reason": found.reason})
            return
        to = self._where(bound, packet, request)
        error = datagrams.send(bound, wire.build(found.reply), to, answering=packet)
        if error is not None:
            reason = f"the answer did not go out: {error.strerror}"
            self._around.tell(mac, ip, "dhcp.ignored", {"reason": reason})
            return
        detail: dict[str, str | int | float] = {"file": found.file}
        if found.architecture is not None:
            detail["architecture"] = found.architecture
        self._around.tell(mac, ip, "dhcp.offered", detail)

    def _where(
        self, bound: socket.socket, packet: Datagram, request: wire.Packet
    ) -> tuple[str, int]:
        """RFC 2131, 4.1: to the relay, else to everybody; PXE 2.1: on 4011 to who asked."""
        if int(request.giaddr):
            return str(request.giaddr), SERVER_PORT
        if bound is self._boot:
            return packet.peer
        return _EVERYBODY, CLIENT_PORT

    def _learn(self, request: wire.Packet) -> None:
        """The address that it takes: TFTP knows its clients by nothing else."""
        wanted = request.options.get(wire.REQUESTED_IP, b"")
        address = IPv4Address(wanted) if len(wanted) == 4 else request.ciaddr
        if request.kind == wire.REQUEST and int(address):
            self._around.owners.learn(str(address), _mac(request))


def _mac(request: wire.Packet) -> str:
    return request.mac.hex(":")


def _address(packet: Datagram, request: wire.Packet) -> str:
    """Its own address: what a relay sends comes from the relay's."""
    return str(request.ciaddr) if int(request.giaddr) else packet.peer[0]


def _is_no_relay(address: IPv4Address) -> bool:
    """An address that no single host has: an answer to it would be a flood."""
    return address.is_multicast or address.is_loopback or str(address) == _EVERYBODY

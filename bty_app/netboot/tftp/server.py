"""TFTP sockets: one thread, a selector, and a socket of its own for each transfer (RFC 1350, 4)."""

from __future__ import annotations

import contextlib
import selectors
import socket
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import BinaryIO

from bty_app.domain.bounds import Buckets, Rate
from bty_app.netboot import datagrams
from bty_app.netboot.around import Around
from bty_app.netboot.datagrams import Datagram
from bty_app.netboot.tftp import wire
from bty_app.netboot.tftp.transfer import Transfer, agree

PORT = 69
MAX_TRANSFERS = 256
MAX_OF_ONE = 32  # address: there may be a few machines behind one
# Wrong requests that are answered and told: their senders may be forged.
WRONG = Rate(burst=100, per_second=20)
TICK = 0.25  # seconds


@dataclass(frozen=True, slots=True)
class Refusal:
    code: int
    text: str


Find = Callable[[str, IPv4Address], tuple[BinaryIO, int] | Refusal]
Peer = tuple[str, int]


@dataclass(slots=True)
class _Running:
    socket: socket.socket
    file: BinaryIO
    transfer: Transfer
    name: str
    size: int
    ip: str
    mac: str | None
    timeout: int
    started: float
    deadline: float


class TftpServer:
    """`listening` is bound by the caller (`datagrams.bind`), and stays open. `find(name, local)`
    gives an open file and its size in bytes, to who reaches us at `local`.
    """

    def __init__(
        self,
        listening: socket.socket,
        find: Find,
        around: Around,
    ) -> None:
        self._listening, self._find, self._around = listening, find, around
        self._running: dict[Peer, _Running] = {}
        self._wrong = Buckets(WRONG, capacity=1)

    def run(self, stopping: Callable[[], bool]) -> None:
        """Serve until `stopping`, looked at every 0.25 s."""
        with selectors.DefaultSelector() as self._selector:
            self._selector.register(self._listening, selectors.EVENT_READ, None)
            try:
                while not stopping():
                    for key, _ in self._selector.select(TICK):
                        if key.data is None:
                            self._request()
                        else:
                            self._packet(key.data)
                    self._late()
            finally:
                for peer in list(self._running):
                    self._end(peer, "the server stops")

    def _request(self) -> None:
        asked = datagrams.receive(self._listening, wire.MAX_REQUEST + 1)
        if asked is None or not self._around.serves(asked.interface):
            return
        try:
            packet = wire.parse(asked.data)
        except wire.BadPacketError as error:
            self._refuse(asked, Refusal(wire.ILLEGAL, str(error)))
            return
        if isinstance(packet, wire.Write):
            self._refuse(asked, Refusal(wire.ACCESS, "this server is only read"))
        elif isinstance(packet, wire.Read) and asked.peer not in self._running:
            self._open(asked, packet)

    def _open(self, asked: Datagram, request: wire.Read) -> None:
        found: tuple[BinaryIO, int] | Refusal = Refusal(0, "too many transfers, try again")
        if self._has_room(asked.peer[0]):
            found = self._find(request.name, asked.local)
        if isinstance(found, Refusal):
            self._refuse(asked, found, request.name)
            return
        file, size = found
        try:
            own = _connected(asked)
        except OSError as error:
            file.close()
            self._refuse(asked, Refusal(0, f"no socket: {error.strerror}"), request.name)
            return

        def read(offset: int, length: int) -> bytes:
            file.seek(offset)
            return file.read(length)

        peer, at, ip = asked.peer, self._around.monotonic(), asked.peer[0]
        terms = agree(request.options, size)
        transfer = Transfer(terms, size, read)
        mac, deadline = self._around.owners.of(ip), at + terms.timeout
        self._running[peer] = _Running(
            own, file, transfer, request.name, size, ip, mac, terms.timeout, at, deadline
        )
        self._selector.register(own, selectors.EVENT_READ, peer)
        self._around.tell(mac, ip, "tftp.started", {"file": request.name, "of": size})
        self._step(peer, transfer.start)

    def _has_room(self, ip: str) -> bool:
        of_one = sum(running.ip == ip for running in self._running.values())
        return len(self._running) < MAX_TRANSFERS and of_one < MAX_OF_ONE

    def _packet(self, peer: Peer) -> None:
        running = self._running.get(peer)
        if running is None:
            return
        try:
            packet = wire.parse(running.socket.recv(wire.MAX_REQUEST + 1))
        except BlockingIOError:
            return
        except OSError as error:
            self._end(peer, _broken(error))
            return
        except wire.BadPacketError:
            return
        self._step(peer, lambda: running.transfer.received(packet))

    def _late(self) -> None:
        at = self._around.monotonic()
        for peer, running in list(self._running.items()):
            if at >= running.deadline:
                self._step(peer, running.transfer.timed_out)

    def _step(self, peer: Peer, packets: Callable[[], list[bytes]]) -> None:
        running = self._running[peer]
        try:
            for packet in packets():
                with contextlib.suppress(BlockingIOError):  # as if lost: it is sent again
                    running.socket.send(packet)
                running.deadline = self._around.monotonic() + running.timeout
        except OSError as error:
            self._end(peer, _broken(error))
            return
        if running.transfer.done or running.transfer.failed:
            self._end(peer, running.transfer.failed)

    def _end(self, peer: Peer, reason: str) -> None:
        running = self._running.pop(peer)
        self._selector.unregister(running.socket)
        running.socket.close()
        running.file.close()
        mac = running.mac or self._around.owners.of(running.ip)
        detail: dict[str, str | int | float] = {
            "file": running.name,
            "bytes": running.transfer.bytes_acked,
            "of": running.size,
            "seconds": round(self._around.monotonic() - running.started, 2),
        }
        if running.transfer.declined:
            self._around.tell(mac, running.ip, "tftp.declined", detail)
            return
        if reason:
            detail["reason"] = reason
        self._around.tell(mac, running.ip, "tftp.failed" if reason else "tftp.done", detail)

    def _refuse(self, asked: Datagram, why: Refusal, name: str = "") -> None:
        ip = asked.peer[0]
        if not self._wrong.take("", self._around.monotonic()):
            self._around.tell(None, ip, "tftp.held-back", {})
            return
        error = wire.error(why.code, why.text)
        datagrams.send(self._listening, error, asked.peer, answering=asked)
        detail: dict[str, str | int | float] = {"file": name, "reason": why.text}
        self._around.tell(self._around.owners.of(ip), ip, "tftp.failed", detail)


def _connected(asked: Datagram) -> socket.socket:
    """A socket for one client, from the address that it asked."""
    own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        own.bind((str(asked.local), 0))
        own.connect(asked.peer)
        own.setblocking(False)
    except OSError:
        own.close()
        raise
    return own


def _broken(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "the client has closed its port"
    return error.strerror or str(error)

"""TFTP sockets: one thread, a selector, and a socket of its own for each transfer (RFC 1350, 4)."""

from __future__ import annotations

import contextlib
import selectors
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from bty_app.netboot.seen import Seen
from bty_app.netboot.tftp import wire
from bty_app.netboot.tftp.transfer import Transfer, agree

MAX_TRANSFERS = 256
TICK = 0.25  # seconds


@dataclass(frozen=True, slots=True)
class Refusal:
    code: int
    text: str


@dataclass(slots=True)
class _Running:
    socket: socket.socket
    file: BinaryIO
    transfer: Transfer
    name: str
    ip: str
    timeout: int
    started: float
    deadline: float


class TftpServer:
    """`socket` is bound by the caller. `find(name)` gives an open file and its size in bytes.

    `monotonic` counts seconds; `now` is UTC; `mac_of(ip)` is the MAC if one is known.
    """

    def __init__(
        self,
        listening: socket.socket,
        find: Callable[[str], tuple[BinaryIO, int] | Refusal],
        seen: Callable[[Seen], None],
        *,
        monotonic: Callable[[], float],
        now: Callable[[], datetime],
        mac_of: Callable[[str], str | None],
    ) -> None:
        self._listening, self._find, self._seen = listening, find, seen
        self._monotonic, self._now, self._mac_of = monotonic, now, mac_of
        self._running: dict[tuple[str, int], _Running] = {}
        listening.setblocking(False)

    def run(self, stopping: Callable[[], bool]) -> None:
        """Serve until `stopping`, looked at every 0.25 s. The listening socket stays open."""
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
        try:
            data, peer = self._listening.recvfrom(wire.MAX_REQUEST + 1)
        except OSError:
            return
        try:
            packet = wire.parse(data)
        except wire.BadPacketError as error:
            self._refuse(peer, Refusal(wire.ILLEGAL, str(error)))
            return
        if isinstance(packet, wire.Write):
            self._refuse(peer, Refusal(wire.ACCESS, "this server is only read"))
        elif isinstance(packet, wire.Read) and peer not in self._running:
            self._open(peer, packet)

    def _open(self, peer: tuple[str, int], request: wire.Read) -> None:
        found: tuple[BinaryIO, int] | Refusal = Refusal(0, "too many transfers, try again")
        if len(self._running) < MAX_TRANSFERS:
            found = self._find(request.name)
        if isinstance(found, Refusal):
            self._refuse(peer, found, request.name)
            return
        file, size = found

        def read(offset: int, length: int) -> bytes:
            file.seek(offset)
            return file.read(length)

        own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            own.bind((self._listening.getsockname()[0], 0))
            own.connect(peer)
            own.setblocking(False)
        except OSError as error:
            own.close()
            file.close()
            self._tell(peer[0], "tftp.failed", {"file": request.name, "reason": str(error)})
            return
        terms, at = agree(request.options, size), self._monotonic()
        transfer = Transfer(terms, size, read)
        self._running[peer] = _Running(
            own, file, transfer, request.name, peer[0], terms.timeout, at, at + terms.timeout
        )
        self._selector.register(own, selectors.EVENT_READ, peer)
        self._tell(peer[0], "tftp.started", {"file": request.name, "size": size})
        self._step(peer, transfer.start)

    def _packet(self, peer: tuple[str, int]) -> None:
        running = self._running.get(peer)
        if running is None:
            return
        try:
            packet = wire.parse(running.socket.recv(wire.MAX_REQUEST + 1))
        except BlockingIOError:
            return
        except OSError as error:
            self._end(peer, str(error))
            return
        except wire.BadPacketError:
            return
        self._step(peer, lambda: running.transfer.received(packet))

    def _late(self) -> None:
        at = self._monotonic()
        for peer, running in list(self._running.items()):
            if at >= running.deadline:
                self._step(peer, running.transfer.timed_out)

    def _step(self, peer: tuple[str, int], packets: Callable[[], list[bytes]]) -> None:
        running = self._running[peer]
        try:
            for packet in packets():
                with contextlib.suppress(BlockingIOError):  # as if lost: it is sent again
                    running.socket.send(packet)
                running.deadline = self._monotonic() + running.timeout
        except OSError as error:
            self._end(peer, str(error))
            return
        if running.transfer.done or running.transfer.failed:
            self._end(peer, running.transfer.failed)

    def _end(self, peer: tuple[str, int], reason: str) -> None:
        running = self._running.pop(peer)
        self._selector.unregister(running.socket)
        running.socket.close()
        running.file.close()
        detail: dict[str, str | int] = {
            "file": running.name,
            "bytes": running.transfer.bytes_acked,
            "milliseconds": int((self._monotonic() - running.started) * 1000),
        }
        if reason:
            detail["reason"] = reason
        self._tell(running.ip, "tftp.failed" if reason else "tftp.done", detail)

    def _refuse(self, peer: tuple[str, int], why: Refusal, name: str = "") -> None:
        with contextlib.suppress(OSError):
            self._listening.sendto(wire.error(why.code, why.text), peer)
        self._tell(peer[0], "tftp.failed", {"file": name, "reason": why.text})

    def _tell(self, ip: str, stage: str, detail: dict[str, str | int]) -> None:
        self._seen(Seen(self._mac_of(ip), ip, stage, self._now(), detail))

"""TFTP over real sockets on loopback."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import BinaryIO

import pytest

from bty_app.netboot.seen import Seen
from bty_app.netboot.tftp import wire
from bty_app.netboot.tftp.server import Refusal, TftpServer

CONTENT = bytes(i % 253 for i in range(300_000))
Served = tuple[tuple[str, int], list[Seen]]


def find(name: str) -> tuple[BinaryIO, int] | Refusal:
    if name == "ipxe.efi":
        return io.BytesIO(CONTENT), len(CONTENT)
    return Refusal(wire.NOT_FOUND, "no such file")


@pytest.fixture
def served() -> Iterator[Served]:
    seen: list[Seen] = []
    stop = threading.Event()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        server = TftpServer(
            listening,
            find,
            seen.append,
            monotonic=time.monotonic,
            now=lambda: datetime.now(UTC),
            mac_of=lambda _ip: None,
        )
        thread = threading.Thread(target=server.run, args=(stop.is_set,))
        thread.start()
        yield listening.getsockname(), seen
        stop.set()
        thread.join(5)
        assert not thread.is_alive()


def get(address: tuple[str, int], name: str, opcode: int = wire.RRQ) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        request = f"{name}\0octet\0blksize\x001024\0windowsize\x004\0"
        client.sendto(opcode.to_bytes(2) + request.encode(), address)
        got, last = b"", 0
        while True:
            packet, peer = client.recvfrom(2000)
            if packet[1] == wire.ERROR:
                raise ConnectionRefusedError(packet[4:-1].decode())
            if packet[1] == wire.DATA and int.from_bytes(packet[2:4]) == last + 1:
                got, last = got + packet[4:], last + 1
            short = packet[1] == wire.DATA and len(packet) < 1028
            if packet[1] == wire.OACK or short or last % 4 == 0:
                client.sendto(wire.ACK.to_bytes(2) + last.to_bytes(2), peer)
            if short:
                return got


def test_many_at_once(served: Served) -> None:
    address, _ = served
    with ThreadPoolExecutor(20) as pool:
        assert all(
            got == CONTENT for got in pool.map(lambda _: get(address, "ipxe.efi"), range(20))
        )


@pytest.mark.parametrize(("name", "opcode"), [("../etc/passwd", wire.RRQ), ("ipxe.efi", wire.WRQ)])
def test_refused(served: Served, name: str, opcode: int) -> None:
    address, seen = served
    with pytest.raises(ConnectionRefusedError):
        get(address, name, opcode)
    assert get(address, "ipxe.efi") == CONTENT
    assert seen[0].stage == "tftp.failed"

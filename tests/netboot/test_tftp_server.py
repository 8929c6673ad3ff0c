"""TFTP over real sockets on loopback."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bty_app.netboot import datagrams
from bty_app.netboot.around import Around
from bty_app.netboot.owners import Owners
from bty_app.netboot.seen import Seen
from bty_app.netboot.tftp import wire
from bty_app.netboot.tftp.server import MAX_OF_ONE, Refusal, TftpServer

CONTENT = bytes(i % 253 for i in range(300_000))
MAC = "52:54:00:12:34:56"
Served = tuple[tuple[str, int], list[Seen]]


def find(name: str, _local: IPv4Address) -> tuple[BinaryIO, int] | Refusal:
    if name == "ipxe.efi":
        return io.BytesIO(CONTENT), len(CONTENT)
    if name == "cut":
        return io.BytesIO(CONTENT[:3000]), len(CONTENT)
    return Refusal(wire.NOT_FOUND, "no such file")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    seen: list[Seen] = []
    stop = threading.Event()
    owners = Owners(neighbours=tmp_path / "none")
    owners.learn("127.0.0.1", MAC)
    with datagrams.bind(0, purpose="TFTP", flag="--tftp", host="127.0.0.1") as listening:
        around = Around(seen.append, time.monotonic, lambda: datetime.now(UTC), owners)
        server = TftpServer(listening, find, around)
        thread = threading.Thread(target=server.run, args=(stop.is_set,))
        thread.start()
        yield listening.getsockname(), seen
        stop.set()
        thread.join(5)
        assert not thread.is_alive()


def get(address: tuple[str, int], name: str, opcode: int = wire.RRQ) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(1)
        request = f"{name}\0octet\0blksize\x001024\0windowsize\x004\0"
        client.sendto(opcode.to_bytes(2) + request.encode(), address)
        got, last = b"", 0
        while True:
            try:
                packet, peer = client.recvfrom(2000)
            except TimeoutError:  # as every client does whose request was lost
                assert last == 0
                client.sendto(opcode.to_bytes(2) + request.encode(), address)
                continue
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
    assert (seen[0].stage, seen[0].mac) == ("tftp.failed", MAC)


def told(seen: list[Seen], *, count: int) -> list[tuple[str, object]]:
    """The first stages with the bytes that were sent; waits for them."""
    until = time.monotonic() + 5
    while len(seen) < count and time.monotonic() < until:
        time.sleep(0.01)
    return [(stage.stage, stage.detail.get("bytes")) for stage in seen]


def ask(
    client: socket.socket, address: tuple[str, int], *parts: str
) -> tuple[bytes, tuple[str, int]]:
    client.settimeout(5)
    client.sendto(wire.RRQ.to_bytes(2) + "".join(f"{p}\0" for p in parts).encode(), address)
    data, peer = client.recvfrom(2000)
    return data, peer


def test_a_transfer_is_told_with_its_bytes_and_whose_it_is(served: Served) -> None:
    address, seen = served

    get(address, "ipxe.efi")

    assert told(seen, count=2) == [("tftp.started", None), ("tftp.done", len(CONTENT))]
    assert {stage.mac for stage in seen} == {MAC}
    assert seen[1].detail["of"] == len(CONTENT)


def test_who_only_wants_to_know_the_size_has_not_failed(served: Served) -> None:
    """OVMF opens a file, reads tsize from the OACK, gives up, and opens it anew."""
    address, seen = served
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        oack, peer = ask(client, address, "ipxe.efi", "octet", "tsize", "0")
        assert oack == wire.oack({"tsize": str(len(CONTENT))})
        client.sendto(wire.error(0, "User aborted the transfer"), peer)

        assert told(seen, count=2) == [("tftp.started", None), ("tftp.declined", 0)]


def test_who_gives_up_in_the_middle_has(served: Served) -> None:
    address, seen = served
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        _data, peer = ask(client, address, "ipxe.efi", "octet")
        client.sendto(wire.ACK.to_bytes(2) + (1).to_bytes(2), peer)
        client.recvfrom(2000)
        client.sendto(wire.error(3, "disk full"), peer)

        assert told(seen, count=2) == [("tftp.started", None), ("tftp.failed", 512)]


def test_a_file_that_becomes_shorter_is_not_taken_for_a_whole_one(served: Served) -> None:
    address, seen = served
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        options = ("blksize", "1024", "windowsize", "8")
        _oack, peer = ask(client, address, "cut", "octet", *options)
        client.sendto(wire.ACK.to_bytes(2) + bytes(2), peer)

        assert told(seen, count=2) == [("tftp.started", None), ("tftp.failed", 0)]
    assert seen[-1].detail["reason"] == "the file has become shorter"


def test_one_address_cannot_have_all_places(served: Served) -> None:
    address, _seen = served
    with ExitStack() as stack:
        for _ in range(MAX_OF_ONE):
            client = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            answer, _peer = ask(client, address, "ipxe.efi", "octet")
            assert answer[1] == wire.DATA
        one_more = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))

        answer, _peer = ask(one_more, address, "ipxe.efi", "octet")

        assert answer == wire.error(0, "too many transfers, try again")


def test_a_flood_of_wrong_requests_is_not_answered_without_end(served: Served) -> None:
    address, seen = served
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for _ in range(150):
            client.sendto(b"\0\2x\0octet\0", address)
        assert get(address, "ipxe.efi") == CONTENT

    stages = [stage.stage for stage in seen]
    assert 100 <= stages.count("tftp.failed") <= 150
    assert stages.count("tftp.held-back") >= 10


@given(st.lists(st.binary(max_size=600), max_size=20))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_leave_the_server_at_work(served: Served, packets: list[bytes]) -> None:
    address, _seen = served
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for packet in packets:
            client.sendto(packet, address)

    assert get(address, "ipxe.efi") == CONTENT

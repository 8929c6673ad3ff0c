"""Proxy DHCP without sockets: parsing, and who is offered what."""

from __future__ import annotations

import contextlib
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.netboot.dhcp import wire
from bty_app.netboot.dhcp.offer import Answer, Files, Ignored, answer

SERVER = IPv4Address("10.77.0.10")
MAC = bytes.fromhex("525400123456")
FILES = Files(
    SERVER, "undionly.kpxe", "x64.efi", "arm64.efi", "http://s/x64", "http://s/arm64", "http://s/i"
)


def ask(vendor: bytes, arch: int, kind: int = wire.DISCOVER, **more: bytes) -> wire.Packet:
    options = {
        wire.MESSAGE_TYPE: bytes([kind]),
        wire.VENDOR_CLASS: vendor,
        wire.ARCHITECTURE: arch.to_bytes(2),
        wire.MACHINE_ID: bytes(17),
    }
    extra = {getattr(wire, name): value for name, value in more.items()}
    packet = wire.Packet(wire.BOOTREQUEST, 7, MAC, options | extra)
    return wire.parse(wire.build(packet))


@given(st.binary(max_size=400), st.booleans())
def test_any_bytes_are_a_packet_or_refused(tail: bytes, magic: bool) -> None:
    head = wire.build(wire.Packet(1, 1, MAC))[: wire.FIXED + 4]
    with contextlib.suppress(wire.BadPacketError):
        answer(wire.parse(head + tail if magic else tail), FILES)


@pytest.mark.parametrize(
    ("vendor", "arch", "file"),
    [
        (b"PXEClient:Arch:00000:UNDI:002001", 0, "undionly.kpxe"),
        (b"PXEClient:Arch:00007:UNDI:003016", 7, "x64.efi"),
        (b"PXEClient", 9, "x64.efi"),
        (b"PXEClient", 11, "arm64.efi"),
        (b"HTTPClient:Arch:00016", 16, "http://s/x64"),
        (b"HTTPClient", 19, "http://s/arm64"),
    ],
)
def test_by_architecture(vendor: bytes, arch: int, file: str) -> None:
    got = answer(ask(vendor, arch), FILES)
    assert isinstance(got, Answer)
    assert got.file == file
    raw = wire.build(got.reply)
    assert raw[16:20] == bytes(4)  # never a lease
    sent = wire.parse(raw)
    assert (sent.kind, sent.siaddr, sent.xid, sent.mac) == (wire.OFFER, SERVER, 7, MAC)
    assert sent.options[wire.BOOT_FILE] == file.encode()
    assert sent.options[wire.MACHINE_ID] == bytes(17)
    assert (wire.VENDOR in sent.options) == vendor.startswith(b"PXE")


@pytest.mark.parametrize("more", [{"USER_CLASS": b"iPXE"}, {"IPXE": b"\1"}])
def test_ipxe_gets_the_script(more: dict[str, bytes]) -> None:
    got = answer(ask(b"PXEClient", 7, wire.DISCOVER, **more), FILES)
    assert isinstance(got, Answer)
    assert got.file == "http://s/i"


def test_port_4011_is_acknowledged() -> None:
    got = answer(ask(b"PXEClient", 7, wire.REQUEST), FILES, boot_port=True)
    assert isinstance(got, Answer)
    assert got.reply.kind == wire.ACK


@pytest.mark.parametrize(
    "request_",
    [ask(b"MSFT 5.0", 0), ask(b"", 0), ask(b"PXEClient", 6), ask(b"PXEClient", 7, wire.REQUEST)],
)
def test_others_are_left_alone(request_: wire.Packet) -> None:
    assert isinstance(answer(request_, FILES), Ignored)

"""Proxy DHCP without sockets: parsing, and who is offered what."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.netboot.dhcp import wire
from bty_app.netboot.dhcp.offer import STRAIGHT_TO_FILE, Answer, Files, Ignored, answer
from tests.netboot.clients import MAC, question

SERVER = IPv4Address("10.77.0.10")
FILES = Files(
    SERVER, "undionly.kpxe", "x64.efi", "arm64.efi", "http://s/x64", "http://s/arm64", "http://s/i"
)


def ask(vendor: bytes, arch: int | bytes, kind: int = wire.DISCOVER, **more: bytes) -> wire.Packet:
    packet = question(vendor, arch, kind=kind)
    extra = {getattr(wire, name): value for name, value in more.items()}
    return wire.parse(wire.build(replace(packet, options=packet.options | extra)))


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
    ("asked", "told"),
    [
        (b"\x47\4\0\0\0\0\xff", b"\x47\4\0\0\0\0\xff"),
        (b"\x06\1\0\x47\4\0\1\0\2", b"\x47\4\0\1\0\2\xff"),
        (b"\x47\4\0", STRAIGHT_TO_FILE),
        (b"\x47\1\0\xff", STRAIGHT_TO_FILE),
        (b"", STRAIGHT_TO_FILE),
    ],
)
def test_who_asks_for_one_of_the_boot_servers_is_told_which_one_answers(
    asked: bytes, told: bytes
) -> None:
    got = answer(ask(b"PXEClient", 0, wire.REQUEST, VENDOR=asked), FILES, boot_port=True)

    assert isinstance(got, Answer)
    assert got.reply.options[wire.VENDOR] == told


def test_what_a_relay_adds_comes_back_to_it() -> None:
    got = answer(ask(b"PXEClient", 0, RELAY=b"\1\2ab"), FILES)

    assert isinstance(got, Answer)
    assert got.reply.options[wire.RELAY] == b"\1\2ab"


@pytest.mark.parametrize(
    "request_",
    [
        ask(b"MSFT 5.0", 0),
        ask(b"", 0),
        ask(b"PXEClient", 6),
        ask(b"PXEClient", b""),
        ask(b"PXEClient", b"\0"),
        ask(b"PXEClient", 16),
        ask(b"HTTPClient", 7),
        ask(b"PXEClient", 7, wire.REQUEST),
        replace(ask(b"PXEClient", 7), op=wire.BOOTREPLY),
    ],
)
def test_others_are_left_alone(request_: wire.Packet) -> None:
    assert isinstance(answer(request_, FILES), Ignored)


def test_of_several_architectures_the_first_that_we_have_counts() -> None:
    got = answer(ask(b"PXEClient", b"\0\x06\0\x07\0\0"), FILES)

    assert isinstance(got, Answer)
    assert (got.file, got.architecture) == ("x64.efi", 7)


def test_a_file_that_is_not_here_is_not_offered_and_named_in_the_reason() -> None:
    got = answer(ask(b"PXEClient", 11), replace(FILES, arm64=""))

    assert got == Ignored("the iPXE binary for its architecture (11) is missing")


def test_ipxe_gets_its_script_also_where_no_binary_is_here() -> None:
    nothing = Files(SERVER, "", "", "", "", "", "http://s/i")

    got = answer(ask(b"PXEClient:Arch:00011", 11, USER_CLASS=b"\4iPXE"), nothing)

    assert isinstance(got, Answer)
    assert (got.file, got.architecture) == ("http://s/i", None)


def test_a_name_too_long_for_the_old_field_is_in_the_option_whole() -> None:
    url = f"http://{'x' * 200}/pxe-bootstrap.ipxe"

    got = answer(ask(b"PXEClient", 0, IPXE=b"\1"), replace(FILES, script_url=url))

    assert isinstance(got, Answer)
    sent = wire.parse(wire.build(got.reply))
    assert (sent.file, sent.options[wire.BOOT_FILE].decode()) == (b"", url)


@given(
    st.dictionaries(st.integers(1, 254), st.binary(min_size=1, max_size=255), max_size=8),
    st.binary(min_size=6, max_size=6),
    st.integers(0, 2**32 - 1),
    st.ip_addresses(v=4),
)
def test_what_is_built_is_what_is_read(
    options: dict[int, bytes], mac: bytes, xid: int, relay: IPv4Address
) -> None:
    packet = wire.Packet(1, xid, mac, options, giaddr=relay, file=b"f")

    assert wire.parse(wire.build(packet)) == packet


@given(st.binary(max_size=60))
def test_hostile_options_never_make_an_answer_that_leases_or_cannot_be_sent(options: bytes) -> None:
    pxe = bytes([wire.VENDOR_CLASS, 9]) + b"PXEClient" + bytes([wire.MESSAGE_TYPE, 1, 1])
    head = wire.build(wire.Packet(1, 1, MAC))[: wire.FIXED + 4]
    for whole in (head + pxe + options, head + options + pxe):
        with contextlib.suppress(wire.BadPacketError):
            got = answer(wire.parse(whole), FILES)
            if isinstance(got, Answer):
                raw = wire.build(got.reply)
                assert raw[16:20] == bytes(4)
                assert len(raw) < 900


def test_an_option_in_pieces_is_one() -> None:
    head = wire.build(wire.Packet(1, 1, MAC))[: wire.FIXED + 4]

    got = wire.parse(head + b"\x3c\3PXE\0\x3c\6Client\xff\x3c\1x")

    assert got.options == {wire.VENDOR_CLASS: b"PXEClient"}


@pytest.mark.parametrize(
    "tail", [b"\x3c", b"\x3c\xff", b"\x3c\x05PXE", b"\x35\x01\x01\x3c\x09PXEClien"]
)
def test_an_option_beyond_the_packet_is_refused(tail: bytes) -> None:
    head = wire.build(wire.Packet(1, 1, MAC))[: wire.FIXED + 4]

    with pytest.raises(wire.BadPacketError):
        wire.parse(head + tail)

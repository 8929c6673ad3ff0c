"""Firmware that asks, as bytes on a socket."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address

from bty_app.netboot.dhcp import wire

MAC = bytes.fromhex("525400123456")
BIOS = b"PXEClient:Arch:00000:UNDI:002001"
EVERYBODY = ("255.255.255.255", 67)


def question(
    vendor: bytes = BIOS,
    arch: int | bytes = 0,
    *,
    kind: int = wire.DISCOVER,
    mac: bytes = MAC,
    giaddr: str = "0.0.0.0",  # noqa: S104 - nobody
    **more: bytes,
) -> wire.Packet:
    """What a network card sends; `more` are options by the names of `wire`."""
    options = {
        wire.MESSAGE_TYPE: bytes([kind]),
        wire.VENDOR_CLASS: vendor,
        wire.ARCHITECTURE: arch if isinstance(arch, bytes) else arch.to_bytes(2),
        wire.MACHINE_ID: bytes(17),
    }
    extra = {getattr(wire, name): value for name, value in more.items()}
    return wire.Packet(
        wire.BOOTREQUEST, 7, mac, options | extra, flags=wire.BROADCAST, giaddr=IPv4Address(giaddr)
    )


def client(port: int = 0, *, device: str = "", seconds: float = 5) -> socket.socket:
    """A socket that may broadcast, on one interface or on all."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    made.bind(("", port))
    made.settimeout(seconds)
    return made


def tftp_get(address: tuple[str, int], name: str) -> tuple[bytes, str]:
    """A file in blocks of 512 bytes, as the oldest of clients get it, and who sent it."""
    with client() as own:
        own.sendto(b"\0\1" + name.encode() + b"\0octet\0", address)
        got = b""
        while True:
            packet, peer = own.recvfrom(2000)
            if packet[1] != 3:
                raise ConnectionRefusedError(packet[4:-1].decode())
            if int.from_bytes(packet[2:4]) == (len(got) // 512 + 1) & 0xFFFF:
                got += packet[4:]
            own.sendto(b"\0\4" + packet[2:4], peer)
            if len(packet) < 516:
                return got, str(peer[0])

"""DHCP packets as values (RFC 2131; options: RFC 2132)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from ipaddress import IPv4Address

BOOTREQUEST, BOOTREPLY = 1, 2
DISCOVER, OFFER, REQUEST, ACK = 1, 2, 3, 5  # RFC 2132, 9.6

PARAMETERS = 55  # the options that are asked for
PAD, END = 0, 255
ROUTER = 3
VENDOR = 43  # RFC 2132, 8.4
REQUESTED_IP = 50
MESSAGE_TYPE = 53
SERVER_ID = 54
VENDOR_CLASS = 60
TFTP_SERVER = 66
BOOT_FILE = 67
USER_CLASS = 77  # RFC 3004
RELAY = 82  # RFC 3046
ARCHITECTURE = 93  # RFC 4578
UNDI = 94  # RFC 4578
MACHINE_ID = 97  # RFC 4578
IPXE = 175  # Etherboot's encapsulated options

MAGIC = b"\x63\x82\x53\x63"
MAX_PACKET = 4096
FIXED = 236  # bytes before the magic
MIN_REPLY = 300  # old boot ROMs drop less (RFC 1542, 2.1)
BROADCAST = 0x8000
_HEAD = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s")
_NOBODY = IPv4Address(0)


class BadPacketError(ValueError):
    """Bytes that are no DHCP request; the text says why."""


@dataclass(frozen=True, slots=True)
class Packet:
    """`options` holds the whole value of each option, pieces joined (RFC 3396)."""

    op: int
    xid: int
    mac: bytes
    options: dict[int, bytes] = field(default_factory=dict)
    flags: int = 0
    seconds: int = 0
    ciaddr: IPv4Address = _NOBODY
    yiaddr: IPv4Address = _NOBODY  # the address that is leased; a proxy sends none
    siaddr: IPv4Address = _NOBODY
    giaddr: IPv4Address = _NOBODY
    file: bytes = b""

    @property
    def kind(self) -> int:
        """What is asked or answered: DISCOVER, OFFER …; 0 when it is not said."""
        value = self.options.get(MESSAGE_TYPE, b"")
        return value[0] if len(value) == 1 else 0


def parse(data: bytes) -> Packet:
    """A packet over Ethernet. Raises BadPacketError."""
    if not FIXED + 4 <= len(data) <= MAX_PACKET:
        raise BadPacketError("too short or too long")
    op, htype, hlen, _, xid, secs, flags, ci, yi, si, gi, mac, _, file = _HEAD.unpack_from(data)
    if data[FIXED : FIXED + 4] != MAGIC:
        raise BadPacketError("no DHCP magic")
    if htype != 1 or hlen != 6:
        raise BadPacketError("not from an Ethernet card")
    return Packet(
        op=op,
        xid=xid,
        mac=mac[:6],
        options=options_of(data[FIXED + 4 :]),
        flags=flags,
        seconds=secs,
        ciaddr=IPv4Address(ci),
        yiaddr=IPv4Address(yi),
        siaddr=IPv4Address(si),
        giaddr=IPv4Address(gi),
        file=file.split(b"\0")[0],
    )


def options_of(data: bytes) -> dict[int, bytes]:
    """Options as they stand in a packet, or those within one. Raises BadPacketError."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data) and data[at] != END:
        if data[at] == PAD:
            at += 1
            continue
        if at + 2 > len(data) or at + 2 + data[at + 1] > len(data):
            raise BadPacketError(f"option {data[at]} goes beyond the packet")
        value = data[at + 2 : at + 2 + data[at + 1]]
        found[data[at]] = found.get(data[at], b"") + value
        at += 2 + len(value)
    return found


def build(packet: Packet) -> bytes:
    """The bytes of a packet. Raises ValueError if a value does not fit."""
    if len(packet.file) > 127 or any(len(value) > 255 for value in packet.options.values()):
        raise ValueError("a value does not fit into the packet")
    head = _HEAD.pack(
        *(packet.op, 1, 6, 0, packet.xid, packet.seconds, packet.flags),
        *(packet.ciaddr.packed, packet.yiaddr.packed, packet.siaddr.packed, packet.giaddr.packed),
        *(packet.mac, b"", packet.file),
    )
    options = b"".join(bytes([code, len(value)]) + value for code, value in packet.options.items())
    return (head + MAGIC + options + bytes([END])).ljust(MIN_REPLY, b"\0")

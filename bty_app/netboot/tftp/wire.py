"""TFTP packets as values (RFC 1350; options: RFC 2347)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

RRQ, WRQ, DATA, ACK, ERROR, OACK = 1, 2, 3, 4, 5, 6
NOT_FOUND, ACCESS, DISK_FULL, ILLEGAL = 1, 2, 3, 4  # RFC 1350, appendix
REFUSED_OPTIONS = 8  # RFC 2347
MAX_REQUEST = 512  # RFC 2347: a request is at most this long
MAX_NAME = 255


class BadPacketError(ValueError):
    """Bytes that are no TFTP packet that a client may send; the text says why."""


@dataclass(frozen=True, slots=True)
class Read:
    name: str
    options: dict[str, str] = field(default_factory=dict)  # names in lower case


@dataclass(frozen=True, slots=True)
class Write:
    """A wish to write. It is never granted."""


@dataclass(frozen=True, slots=True)
class Ack:
    block: int


@dataclass(frozen=True, slots=True)
class Abort:
    code: int


Packet = Read | Write | Ack | Abort


def parse(data: bytes) -> Packet:
    """What a client sent. Raises BadPacketError."""
    if len(data) < 4:
        raise BadPacketError("shorter than any packet")
    (opcode,) = struct.unpack_from("!H", data)
    if opcode == RRQ:
        return _read(data)
    if opcode == WRQ:
        return Write()
    (number,) = struct.unpack_from("!H", data, 2)
    if opcode == ACK:
        return Ack(number)
    if opcode == ERROR:
        return Abort(number)
    raise BadPacketError(f"operation {opcode} is not for a server that is only read")


def _read(data: bytes) -> Read:
    if len(data) > MAX_REQUEST:
        raise BadPacketError("the request is longer than 512 bytes")
    if data[-1]:
        raise BadPacketError("the request does not end with a zero")
    try:
        name, mode, *rest = data[2:-1].decode("ascii").split("\0")
    except ValueError as error:
        raise BadPacketError("the request has no name and mode in ASCII") from error
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise BadPacketError("the file name is empty, too long or not printable")
    if mode.lower() != "octet":  # no firmware wants netascii
        raise BadPacketError("only mode octet is served")
    # Some ROMs fill the packet up with zeros: an option without a value is none.
    pairs = zip(rest[::2], rest[1::2], strict=False)
    return Read(name, {option.lower(): value for option, value in pairs if option and value})


def data(block: int, payload: bytes) -> bytes:
    return struct.pack("!HH", DATA, block & 0xFFFF) + payload


def oack(options: dict[str, str]) -> bytes:
    pairs = "".join(f"{name}\0{value}\0" for name, value in options.items())
    return struct.pack("!H", OACK) + pairs.encode("ascii")


def error(code: int, text: str) -> bytes:
    return struct.pack("!HH", ERROR, code) + text.encode("ascii", "replace") + b"\0"

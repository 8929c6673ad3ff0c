"""UDP sockets that know on which of our addresses a packet came in, and answer from there (ip(7)).

A server with several networks must: firmware drops what comes from another address than it asked,
and an answer to a broadcast goes out of one interface, not along the default route.
"""

from __future__ import annotations

import errno
import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

from bty_app.errors import ConfigError, ConflictError

# Linux's; the socket module has no name for it.
_IP_PKTINFO = 8
_PKTINFO = struct.Struct("=i4s4s")  # the interface, our address, the destination in the header
_ROOM = socket.CMSG_SPACE(_PKTINFO.size)


@dataclass(frozen=True, slots=True)
class Datagram:
    """`interface` is its index; `local` the address of ours that whoever sent it can reach."""

    data: bytes
    peer: tuple[str, int]
    interface: int
    local: IPv4Address


def bind(
    port: int, *, purpose: str, flag: str, host: str = "", shared: bool = False
) -> socket.socket:
    """A socket on a port of every address (or of `host`); 0 takes a free port. One that is
    `shared` may be another program's as well, which then hears the same broadcasts.

    Raises:
        ConflictError: another program has the port.
        ConfigError: the port needs more rights.
    """
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        bound.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, shared)
        bound.bind((host, port))
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        where = f"UDP port {port} ({purpose})"
        if error.errno == errno.EADDRINUSE:
            raise ConflictError(
                f"{where} is in use by another program, which `ss -lunp` names: stop that, or"
                f" serve without {flag}"
            ) from error
        if error.errno in {errno.EACCES, errno.EPERM}:
            raise ConfigError(
                f"{where} needs the right CAP_NET_BIND_SERVICE: give it to the service, run it as"
                f" root, or serve without {flag}"
            ) from error
        raise ConfigError(f"{where} cannot be listened on: {error.strerror}") from error
    return bound


def receive(bound: socket.socket, size: int) -> Datagram | None:
    """The next packet, cut at `size` bytes; None when there is none, or it cannot be answered."""
    try:
        data, ancillary, _flags, peer = bound.recvmsg(size, _ROOM)
    except OSError:  # none, or the error of a packet that was sent before
        return None
    for level, kind, value in ancillary:
        if (level, kind, len(value)) == (socket.IPPROTO_IP, _IP_PKTINFO, _PKTINFO.size):
            interface, local, _destination = _PKTINFO.unpack(value)
            return Datagram(data, peer, interface, IPv4Address(local))
    return None


def send(
    bound: socket.socket, data: bytes, to: tuple[str, int], *, answering: Datagram
) -> OSError | None:
    """Send from where `answering` came in; what went wrong, if it did not go out."""
    # To an address behind a router the route decides, to the others this interface.
    interface = answering.interface if to[0] == "255.255.255.255" else 0
    source = _PKTINFO.pack(interface, answering.local.packed, bytes(4))
    try:
        bound.sendmsg([data], [(socket.IPPROTO_IP, _IP_PKTINFO, source)], 0, to)
    except OSError as error:
        return error
    return None


def interface_name(index: int) -> str:
    """The name of an interface; empty when it is gone."""
    try:
        return socket.if_indextoname(index)
    except OSError:
        return ""

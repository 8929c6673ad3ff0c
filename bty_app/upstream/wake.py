"""Wake-on-LAN: the magic packet, sent to all on the network."""

from __future__ import annotations

import socket

from bty_app.domain.mac import Mac
from bty_app.errors import UnavailableError

PORT = 9
BROADCAST = "255.255.255.255"


def packet(mac: Mac) -> bytes:
    """Six bytes of ones, and the address sixteen times (AMD's Magic Packet)."""
    return b"\xff" * 6 + bytes.fromhex(mac.replace(":", "")) * 16


def wake(mac: Mac, *, address: str = BROADCAST, port: int = PORT) -> None:
    """Send the packet. Nobody answers: that it was sent is all that is known.

    Raises:
        UnavailableError: this host has no network that it could be sent to.
    """
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            out.sendto(packet(mac), (address, port))
    except OSError as error:
        raise UnavailableError(f"the wake-on-LAN packet was not sent: {error.strerror}") from error

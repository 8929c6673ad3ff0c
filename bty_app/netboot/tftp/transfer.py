"""One read of one file: which packets to send, without sockets and without a clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bty_app.netboot.tftp import wire

# More would be cut in fragments on an Ethernet, and boot ROMs lose those.
MAX_BLKSIZE = 1468
MAX_WINDOW = 16
MAX_TRIES = 6


@dataclass(frozen=True, slots=True)
class Terms:
    """What was agreed. `accepted` goes back in the OACK; without any, there is no OACK."""

    blksize: int  # bytes, RFC 2348
    windowsize: int  # blocks, RFC 7440
    timeout: int  # seconds, RFC 2349
    accepted: dict[str, str]


def agree(options: dict[str, str], size: int) -> Terms:
    """The client's options within our bounds; an option that makes no sense is left out."""
    accepted: dict[str, str] = {}

    def bounded(name: str, low: int, high: int, most: int, default: int) -> int:
        text = options.get(name, "")
        if not (text.isascii() and text.isdigit() and len(text) <= 5):
            return default
        value = int(text)
        if not low <= value <= high:
            return default
        accepted[name] = str(min(value, most))
        return min(value, most)

    blksize = bounded("blksize", 8, 65464, MAX_BLKSIZE, 512)
    windowsize = bounded("windowsize", 1, 65535, MAX_WINDOW, 1)
    # RFC 2349: the timeout is taken as asked, or not at all.
    timeout = bounded("timeout", 1, 10, 10, 1)
    if "tsize" in options:
        accepted["tsize"] = str(size)
    return Terms(blksize, windowsize, timeout, accepted)


class Transfer:
    """Feed it what came; send what it returns. `read(offset, length)` gives the file's bytes.
    A method raises OSError when `read` does, or gives fewer: the file was cut meanwhile.

    Blocks are counted without end here; on the wire they wrap at 65536.
    """

    def __init__(self, terms: Terms, size: int, read: Callable[[int, int], bytes]) -> None:
        self._terms, self._size, self._read = terms, size, read
        self._blocks = size // terms.blksize + 1  # the last one is short, maybe empty
        self._acked = 0
        self._tries = 0
        self._negotiating = bool(terms.accepted)
        self.done = False
        self.failed = ""
        self.declined = False  # ended before the first block: OVMF only wants to know the size

    @property
    def bytes_acked(self) -> int:
        return min(self._acked * self._terms.blksize, self._size)

    def start(self) -> list[bytes]:
        return self._window()

    def received(self, packet: wire.Packet) -> list[bytes]:
        if self.done or self.failed:
            return []
        if isinstance(packet, wire.Abort):
            self.failed = f"the client ended it (error {packet.code})"
            self.declined = self._negotiating
        if not isinstance(packet, wire.Ack):
            return []
        ahead = (packet.block - self._acked) & 0xFFFF
        if self._negotiating:
            if packet.block != 0:
                return []
            self._negotiating = False
        elif ahead == 0 or ahead > self._sent():
            # A second ACK of the same block is not answered: the sorcerer's apprentice (RFC 1123).
            return []
        self._acked += ahead
        self._tries = 0
        self.done = self._acked == self._blocks
        return self._window()

    def timed_out(self) -> list[bytes]:
        """The same window again, a bounded number of times."""
        if self.done or self.failed:
            return []
        self._tries += 1
        if self._tries >= MAX_TRIES:
            last = self._acked + self._terms.windowsize >= self._blocks and not self._negotiating
            self.failed = f"the client does not answer{' to the last blocks' if last else ''}"
            return []
        return self._window()

    def _sent(self) -> int:
        return min(self._terms.windowsize, self._blocks - self._acked)

    def _window(self) -> list[bytes]:
        if self._negotiating:
            return [wire.oack(self._terms.accepted)]
        return [self._block(self._acked + 1 + i) for i in range(self._sent())]

    def _block(self, number: int) -> bytes:
        start = (number - 1) * self._terms.blksize
        length = min(self._terms.blksize, self._size - start)
        payload = self._read(start, length) if length else b""
        if len(payload) < length:  # sent, it would be taken for the end of the file
            raise OSError("the file has become shorter")
        return wire.data(number, payload)

"""bzip2: its blocks are decoded by whichever thread is free.

A block begins with 48 bits that are nearly never anything else, at any bit of the file, and no
block needs another one. Each is moved to a whole byte and wrapped into a stream of its own, which
the standard library decodes and checks. Where those bits were data after all, neither half of the
block can be decoded: the halves are put together again.
"""

from __future__ import annotations

import bz2
import os
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass

from bty_app.errors import FlashIntegrityError
from bty_app.flasher.bzip2_marks import END, MARK_BITS, Bits, Mark
from bty_app.flasher.flow import Flow
from bty_app.flasher.memory import spare_bytes
from bty_app.flasher.ring import Sink

_HEADER_BITS, _CRC_BITS = 32, 32
_MOST_OUT = 48 * 1024 * 1024  # of a block: a run of one byte packs best
_MOST_BITS = 8 * 4 * 1024 * 1024  # of a block: 900 kB and what cannot be packed of them


@dataclass(frozen=True, slots=True)
class _Block:
    """`count` bits of the file that are a block, as far as we know."""

    header: bytes
    bits: int
    count: int

    @property
    def crc(self) -> int:
        """The checksum of what comes out, which stands behind the mark."""
        return self.bits >> self.count - MARK_BITS - _CRC_BITS & 0xFFFFFFFF

    def and_then(self, other: _Block) -> _Block:
        """Both in one."""
        return _Block(self.header, self.bits << other.count | other.bits, self.count + other.count)

    def decoded(self) -> bytes | None:
        """What comes out; None where this is no whole block."""
        if self.count < MARK_BITS + _CRC_BITS:
            return None
        bits = (self.bits << MARK_BITS | END) << _CRC_BITS | self.crc
        count = self.count + MARK_BITS + _CRC_BITS
        padding = -count % 8
        stream = bz2.BZ2Decompressor()
        try:
            found = stream.decompress(
                self.header + (bits << padding).to_bytes((count + padding) // 8, "big")
            )
        except (OSError, ValueError):
            return None
        return found if stream.eof and not stream.unused_data else None


class Bzip2:
    """A decoder of any row of streams."""

    def __init__(self, sink: Sink, flow: Flow, workers: int | None = None) -> None:
        self._sink = sink
        workers = workers or len(os.sched_getaffinity(0))
        self._ahead = max(1, min(2 * workers, spare_bytes() // (2 * _MOST_OUT)))
        self._pool = flow.pool(workers, "flash-bzip2")
        self._under_way: deque[tuple[_Block, Future[bytes | None]]] = deque()
        self._bits = Bits()
        self._at = 0  # in bits: everything before is taken
        self._header: bytes | None = None  # of the stream that this is in
        self._half: _Block | None = None
        self._crc = 0
        self._streams = 0

    def feed(self, data: bytes) -> None:
        self._bits.add(data)
        while self._step():
            self._bits.forget(self._at)

    def finish(self) -> None:
        if self._header is not None or self._bits.end > self._at or not self._streams:
            raise _damaged("it is cut off")

    def _step(self) -> bool:
        """Take the next part of the file; False where more of it is needed."""
        if self._header is None:
            return self._begin_stream()
        marks = self._bits.marks
        if not marks or marks[0].bit != self._at:
            if self._bits.looked > self._at:
                raise _damaged("there is no block where one should begin")
            return False
        if marks[0].is_end:
            if self._bits.end < self._at + MARK_BITS + _CRC_BITS:
                return False
            if self._end_stream():
                return True
        return self._take_block(self._header, marks)

    def _begin_stream(self) -> bool:
        if self._bits.end < self._at + _HEADER_BITS:
            return False
        header = self._bits.get(self._at, _HEADER_BITS).to_bytes(4, "big")
        if not header.startswith(b"BZh") or header[3:] not in b"123456789":
            raise _damaged("that is no header")
        self._header, self._crc = header, 0
        self._at += _HEADER_BITS
        return True

    def _take_block(self, header: bytes, marks: deque[Mark]) -> bool:
        if len(marks) < 2:
            if self._bits.end - self._at > _MOST_BITS:
                raise _damaged("a block of it is too long")
            return False
        count = marks[1].bit - self._at
        block = _Block(header, self._bits.get(self._at, count), count)
        self._collect(leave=self._ahead - 1)
        self._under_way.append((block, self._pool.submit(block.decoded)))
        self._at += count
        return True

    def _end_stream(self) -> bool:
        """Whether this is the end; else it is data that looks like one."""
        self._collect(leave=0)
        if self._half is not None:
            return False
        if self._bits.get(self._at + MARK_BITS, _CRC_BITS) != self._crc:
            raise _damaged("its checksum is wrong")
        self._at = -(-(self._at + MARK_BITS + _CRC_BITS) // 8) * 8
        self._header = None
        self._streams += 1
        return True

    def _collect(self, *, leave: int) -> None:
        """Pass on what is decoded, in order, until only `leave` blocks are under way."""
        while len(self._under_way) > leave:
            block, future = self._under_way.popleft()
            out = future.result()
            if self._half is not None:
                block = self._half.and_then(block)
                if block.count > _MOST_BITS:
                    raise _damaged("a block of it cannot be decoded")
                out = block.decoded()
            if out is None:
                self._half = block
                continue
            self._half = None
            self._crc = (self._crc << 1 & 0xFFFFFFFF | self._crc >> 31) ^ block.crc
            self._sink.put(out)


def _damaged(why: str) -> FlashIntegrityError:
    return FlashIntegrityError(f"the image is no whole bzip2 file: {why}")

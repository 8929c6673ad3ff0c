"""xz files of many blocks, as `xz -T` makes them: blocks are decoded by whichever thread is free.

Such a block says in its header how long it is. Each is wrapped into a stream of its own, which the
standard library decodes and checks. In an image that is mostly empty, most blocks are one and the
same, of zeros: that one is decoded once.
"""

from __future__ import annotations

import lzma
import os
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass

from bty_app.errors import FlashError, FlashIntegrityError
from bty_app.flasher import liblzma, xz_format
from bty_app.flasher.decoder import Decoder, xz_streams
from bty_app.flasher.flow import Flow
from bty_app.flasher.memory import bytes_are_zero, spare_bytes
from bty_app.flasher.ring import Sink
from bty_app.flasher.xz_format import HEADER_BYTES, Block, FormatError

MAX_BLOCK_BYTES = 256 * 1024 * 1024  # of a file with larger ones, one after the other
SMALL_BYTES = 64 * 1024  # a block of zeros is this small
DECODER_BYTES = 32 * 1024 * 1024  # what the decoding of a block takes besides


@dataclass(slots=True)
class _Stream:
    header: bytes
    blocks: list[Block]


class Blocks:
    """A decoder of any row of streams."""

    def __init__(self, sink: Sink, flow: Flow, workers: int | None = None) -> None:
        self._sink = sink
        self._workers = workers or len(os.sched_getaffinity(0))
        self._pool = flow.pool(self._workers, "flash-xz")
        self._under_way: deque[Future[bytes] | int] = deque()
        self._pending = bytearray()
        self._stream: _Stream | None = None
        self._streams = 0
        self._zeros: dict[bytes, int] = {}
        self._row: Decoder | None = None

    def feed(self, data: bytes) -> None:
        if self._row is not None:
            self._row.feed(data)
            return
        self._pending += data
        try:
            while self._step():
                pass
        except FormatError as error:
            raise _damaged(str(error)) from error

    def finish(self) -> None:
        if self._row is not None:
            self._row.finish()
        elif self._stream is not None or self._pending.strip(b"\0") or not self._streams:
            raise _damaged("it is cut off")
        self._collect(leave=0)

    def _step(self) -> bool:
        """Take the next part of the file; False where more of it is needed."""
        if self._stream is None:
            return self._begin_stream()
        if not self._pending:
            return False
        if self._pending[0] == 0:
            return self._end_stream(self._stream)
        return self._take_block(self._stream)

    def _begin_stream(self) -> bool:
        if self._streams:
            del self._pending[: len(self._pending) - len(self._pending.lstrip(b"\0"))]
        if len(self._pending) < HEADER_BYTES:
            return False
        header = bytes(self._pending[:HEADER_BYTES])
        xz_format.check_header(header)
        del self._pending[:HEADER_BYTES]
        self._stream = _Stream(header, [])
        return True

    def _take_block(self, stream: _Stream) -> bool:
        length = xz_format.block_header_bytes(self._pending[0])
        if len(self._pending) < length:
            return False
        block = xz_format.block_of(bytes(self._pending[:length]), stream.header)
        if block is None or block.size > MAX_BLOCK_BYTES or block.length > MAX_BLOCK_BYTES:
            self._begin_row(stream)
            return False
        if len(self._pending) < block.length:
            return False
        data = bytes(self._pending[: block.length])
        del self._pending[: block.length]
        stream.blocks.append(block)
        self._submit(stream, block, data)
        return True

    def _submit(self, stream: _Stream, block: Block, data: bytes) -> None:
        if self._zeros.get(data) == block.size:
            self._under_way.append(block.size)
            return
        index = xz_format.index([block])
        whole = stream.header + data + index + xz_format.footer(stream.header, len(index))
        room = spare_bytes() // (2 * block.size + DECODER_BYTES)
        self._collect(leave=max(0, min(self._workers, room) - 1))
        self._under_way.append(self._pool.submit(self._decoded, whole, data, block))

    def _decoded(self, whole: bytes, data: bytes, block: Block) -> bytes:
        try:
            out = lzma.decompress(whole, format=lzma.FORMAT_XZ)
        except lzma.LZMAError as error:
            raise _damaged(str(error)) from error
        if len(out) != block.size:
            raise _damaged(f"a block has {len(out)} bytes, not {block.size}")
        if len(data) <= SMALL_BYTES and bytes_are_zero(out):
            self._zeros = {data: block.size}
        return out

    def _collect(self, *, leave: int) -> None:
        """Pass on what is decoded, in order, until only `leave` blocks are under way."""
        while sum(isinstance(one, Future) for one in self._under_way) > leave or (
            self._under_way and isinstance(self._under_way[0], int)
        ):
            done = self._under_way.popleft()
            if isinstance(done, int):
                self._sink.zeros(done)
            else:
                self._sink.put(done.result())

    def _end_stream(self, stream: _Stream) -> bool:
        index = xz_format.index(stream.blocks)
        end = index + xz_format.footer(stream.header, len(index))
        if not end.startswith(self._pending[: len(end)]):
            raise FormatError("its index is not that of its blocks")
        if len(self._pending) < len(end):
            return False
        del self._pending[: len(end)]
        self._stream = None
        self._streams += 1
        return True

    def _begin_row(self, stream: _Stream) -> None:
        """This stream, whose blocks do not say how long they are, and the rest, by one thread."""
        if stream.blocks:
            raise FlashError(
                "some blocks of the image say how long they are, and some do not: compress it again"
            )
        self._collect(leave=0)
        begin = liblzma.xz_in_place if liblzma.available() else xz_streams
        self._row = begin(self._sink)
        self._row.feed(stream.header + bytes(self._pending))
        self._pending.clear()


def _damaged(why: str) -> FlashIntegrityError:
    return FlashIntegrityError(f"the image is no whole xz file: {why}")

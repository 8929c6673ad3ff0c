"""Packs an image of any format anew, as frames of zstd that can be decoded side by side."""

from __future__ import annotations

import hashlib
import os
import queue
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bty_app.domain.jobs import Step, Teller
from bty_app.errors import FlashIntegrityError
from bty_app.flasher.flash import flash
from bty_app.flasher.flow import Flow
from bty_app.flasher.memory import BUFFER_BYTES, bytes_are_zero
from bty_app.flasher.order import Order, Source
from bty_app.flasher.qcow2_format import HEADER_BYTES, parse_header
from bty_app.flasher.ring import Ring
from bty_app.flasher.stream import ImageStream, Tools, first_bytes
from bty_app.flasher.zstd_packing import Frame, Packer, seek_table

FRAME_BYTES = BUFFER_BYTES  # what a flash decodes in one go
LEVEL = 10


@dataclass(frozen=True, slots=True)
class Packed:
    """A file that was written: its digest and size, and the size of the image in it."""

    sha256: str
    size_bytes: int
    image_bytes: int
    frames: int


def pack(
    order: Order,
    out: BinaryIO,
    teller: Teller,
    *,
    scratch: Path,
    level: int = LEVEL,
    tools: Tools | None = None,
) -> Packed:
    """Write the image of `order` to `out`; its digest is checked where the order has one.

    A qcow2 image, which does not come in order, is unpacked into the directory `scratch` before.

    Raises:
        As `flash`. OSError: `out` cannot be written.
    """
    tools = tools or Tools()
    if order.format == "qcow2":
        order = _unpacked(order, teller, scratch / "unpacked.img", tools)
    flow = Flow()
    try:
        packed = _Packing(order, out, teller, level, flow, tools).run()
    finally:
        flow.stop()
        flow.join()
    return packed


def _unpacked(order: Order, teller: Teller, path: Path, tools: Tools) -> Order:
    """The order for the image as it is, in a file without the zeros."""
    header = parse_header(first_bytes(order, tools, HEADER_BYTES))
    with path.open("xb") as file:
        file.truncate(header.size)
    flash(order, str(path), teller, tools=tools)
    return Order((Source("file", str(path), "file"),), "img", size_bytes=header.size)


class _Packing:
    def __init__(
        self, order: Order, out: BinaryIO, teller: Teller, level: int, flow: Flow, tools: Tools
    ) -> None:
        self._out = out
        self._teller = teller
        self._flow = flow
        self._level = level
        self._stream = ImageStream(order, flow, tools)
        self._hasher = hashlib.sha256()
        self._frames: list[Frame] = []
        self._packers: queue.SimpleQueue[Packer] = queue.SimpleQueue()
        self._zeros = b""

    def run(self) -> Packed:
        workers = len(os.sched_getaffinity(0))
        self._stream.start()
        packers = [Packer(self._level) for _ in range(workers)]
        for packer in packers:
            self._packers.put(packer)
        try:
            with ThreadPoolExecutor(workers, "flash-pack") as pool:  # its end waits for them all
                self._pack(pool, workers)
        except BaseException:
            if self._flow.failure is not None:
                raise self._flow.failure from None
            raise
        finally:
            for packer in packers:
                packer.close()
        self._flow.join()
        if self._flow.failure is not None:  # the digest, which is known last
            raise self._flow.failure
        if not self._frames:
            raise FlashIntegrityError("the image is empty")
        self._put(seek_table(self._frames))
        return Packed(
            self._hasher.hexdigest(),
            sum(frame.packed for frame in self._frames) + len(seek_table(self._frames)),
            sum(frame.size for frame in self._frames),
            len(self._frames),
        )

    def _pack(self, pool: ThreadPoolExecutor, workers: int) -> None:
        under_way: deque[tuple[int, Future[bytes]]] = deque()
        for block in _blocks(self._stream.ring):
            under_way.append((len(block), pool.submit(self._frame, block)))
            if len(under_way) > 2 * workers:
                self._finish(*under_way.popleft())
        while under_way:
            self._finish(*under_way.popleft())

    def _frame(self, block: bytes) -> bytes:
        is_zero = len(block) == FRAME_BYTES and bytes_are_zero(block)
        if is_zero and self._zeros:
            return self._zeros
        packer = self._packers.get()
        try:
            frame = packer.frame(block)
        finally:
            self._packers.put(packer)
        if is_zero:
            self._zeros = frame
        return frame

    def _finish(self, size: int, future: Future[bytes]) -> None:
        frame = future.result()
        self._frames.append(Frame(len(frame), size))
        self._put(frame)
        progress = self._stream.fetch.progress
        self._teller.tell(Step("packing", progress.done, progress.total))

    def _put(self, data: bytes) -> None:
        self._hasher.update(data)
        self._out.write(data)


def _blocks(ring: Ring) -> Iterator[bytes]:
    """The image in pieces of `FRAME_BYTES`; the last one may be shorter."""
    piece = bytearray()
    while (run := ring.next()) is not None:
        at = 0
        while at < run.length:
            count = min(FRAME_BYTES - len(piece), run.length - at)
            piece += bytes(count) if run.buffer is None else run.buffer.view[at : at + count]
            at += count
            if len(piece) == FRAME_BYTES:
                yield bytes(piece)
                piece.clear()
        ring.release(run)
    if piece:
        yield bytes(piece)

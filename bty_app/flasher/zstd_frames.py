"""zstd files of many frames: each frame is decoded by whichever thread is free.

A frame that says its size, of whole pages and no larger than a buffer, is decoded straight into
the buffer that goes to the disk. In an image that is mostly empty, most frames are one and the
same, of zeros: that one is decoded once. From the first frame on that is not of this kind, the rest
is decoded in one row.
"""

from __future__ import annotations

import os
import queue

from bty_app.flasher import libzstd
from bty_app.flasher.flow import Flow
from bty_app.flasher.libzstd import Context, Streaming, content_size
from bty_app.flasher.memory import BUFFER_BYTES, STEP, Buffer
from bty_app.flasher.ring import Run, Sink

MAX_FRAME_BYTES = 2 * BUFFER_BYTES
SMALL_BYTES = 1024  # a frame of zeros is this small
_SKIPPABLE = 0x184D2A5  # and four bits that are free (RFC 8878 3.1.2)
_RAW, _RLE = 0, 1

_Job = tuple[bytes, int, tuple[Run, Buffer]]


class Frames:
    """A decoder of any row of frames."""

    def __init__(self, sink: Sink, flow: Flow, workers: int | None = None) -> None:
        self._sink = sink
        self._flow = flow
        self._workers = workers or len(os.sched_getaffinity(0))
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads = 0
        self._pending = bytearray()
        self._walk = FrameWalk()
        self._row: Streaming | None = None
        self._frames = 0
        self._zeros: dict[bytes, int] = {}

    def feed(self, data: bytes) -> None:
        if self._row is not None:
            self._row.feed(data)
            return
        self._pending += data
        at = 0
        while not self._is_unfit(at) and (length := self._walk.length(self._pending, at)):
            self._take(bytes(self._pending[at : at + length]))
            self._walk = FrameWalk()
            at += length
        del self._pending[:at]
        if self._is_unfit(0):
            self._begin_row()

    def finish(self) -> None:
        if self._row is None and (self._pending or not self._frames):
            self._begin_row()
        for _ in range(self._threads):
            self._jobs.put(None)
        if self._row is not None:
            self._row.finish()

    def _is_unfit(self, at: int) -> bool:
        """Whether what comes now cannot be decoded side by side."""
        if self._walk.is_unfit or len(self._pending) - at > 2 * MAX_FRAME_BYTES:
            return True
        head = bytes(self._pending[at : at + libzstd.HEADER_MAX])
        if len(head) < libzstd.HEADER_MAX or not head.startswith(libzstd.MAGIC):
            return False
        size = content_size(head)
        return size is None or not STEP <= size <= BUFFER_BYTES or size % STEP != 0

    def _take(self, frame: bytes) -> None:
        """Have the frame decoded."""
        size = content_size(frame)
        if size is None:
            return  # a frame to be passed over
        self._frames += 1
        if self._zeros.get(frame) == size:
            self._sink.zeros(size)
            return
        if self._threads < self._workers:
            self._threads += 1
            self._flow.start("flash-zstd", self._work)
        self._jobs.put((frame, size, self._sink.claim(size)))

    def _begin_row(self) -> None:
        """From here on by one thread."""
        self._row = Streaming(self._sink)
        self._row.feed(bytes(self._pending))
        self._pending.clear()

    def _work(self) -> None:
        context = Context()
        self._flow.at_stop(lambda: self._jobs.put(None))
        try:
            while (job := self._jobs.get()) is not None:
                self._flow.check()
                frame, size, (run, buffer) = job
                context.frame(frame, buffer.address, size)
                if len(frame) <= SMALL_BYTES and buffer.is_zero(0, size):
                    self._zeros = {frame: size}
                self._sink.ready(run, size)
        finally:
            context.close()


class FrameWalk:
    """Finds the end of a frame by the headers of its blocks (RFC 8878 3.1.1), as its bytes come."""

    def __init__(self) -> None:
        self._at = 0
        self._has_checksum = False
        self._is_last = False
        self.is_unfit = False

    def length(self, data: bytearray, start: int = 0) -> int | None:
        """The length of the frame that begins at `start`, once it is all there."""
        if not self._at and not self._begun(data[start : start + libzstd.HEADER_MAX]):
            return None
        while not self._is_last:
            at = start + self._at
            if len(data) < at + 3:
                return None
            header = int.from_bytes(data[at : at + 3], "little")
            kind, size = header >> 1 & 3, header >> 3
            self._at += 3 + (1 if kind == _RLE else size)
            self._is_last = bool(header & 1)
        length = self._at + (4 if self._has_checksum else 0)
        return length if len(data) >= start + length else None

    def _begun(self, head: bytearray) -> bool:
        """Whether the header is here; it has been read then."""
        if len(head) < libzstd.HEADER_MAX:
            return False
        if int.from_bytes(head[:4], "little") >> 4 == _SKIPPABLE:
            self._at, self._is_last = 8 + int.from_bytes(head[4:8], "little"), True
            self.is_unfit = self._at > MAX_FRAME_BYTES
        elif head.startswith(libzstd.MAGIC):
            descriptor = head[4]
            sizes, dictionary = descriptor >> 6, descriptor & 3
            is_single = descriptor >> 5 & 1
            self._at = 5 + (1 - is_single) + (0, 1, 2, 4)[dictionary]
            self._at += (is_single, 2, 4, 8)[sizes]
            self._has_checksum = bool(descriptor >> 2 & 1)
        else:
            self.is_unfit = True
            return False
        return True

"""Runs of an image on their way from a decoder to the disk, in a few buffers that go round.

A run keeps its place in the row from the moment it is claimed, so that several threads may fill
runs at the same time and the disk still gets them in order.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from bty_app.flasher.flow import Flow
from bty_app.flasher.memory import BUFFER_BYTES, PAGE, Buffer

BUFFERS = 8


@dataclass(slots=True)
class Run:
    """`length` bytes of the image from `offset` on; zeros where it has no buffer."""

    offset: int
    length: int
    buffer: Buffer | None = None
    is_ready: bool = False


class Ring:
    """The row of runs, and the buffers that are free."""

    def __init__(self, flow: Flow, buffers: int = BUFFERS) -> None:
        self._flow = flow
        self._changed = flow.condition()
        self._free = [Buffer() for _ in range(buffers)]
        self._row: deque[Run | None] = deque()

    def claim(self, offset: int) -> tuple[Run, Buffer]:
        """A run with its buffer to fill, next in the row; waits until a buffer is free.

        Raises:
            StoppedError: the flash is stopped.
        """
        with self._changed:
            self._flow.wait_for(self._changed, lambda: self._free)
            buffer = self._free.pop()
            run = Run(offset, 0, buffer)
            self._row.append(run)
        return run, buffer

    def ready(self, run: Run, length: int) -> None:
        """The first `length` bytes of its buffer are what the run is."""
        with self._changed:
            run.length, run.is_ready = length, True
            self._changed.notify_all()

    def zeros(self, offset: int, length: int) -> None:
        """A run of zeros, next in the row."""
        self._append(Run(offset, length, None, is_ready=True))

    def end(self) -> None:
        """There is no more."""
        self._append(None)

    def _append(self, run: Run | None) -> None:
        with self._changed:
            self._row.append(run)
            self._changed.notify_all()

    def next(self) -> Run | None:
        """The next run, waited for; None behind the last. Give it back with `release`.

        Raises:
            StoppedError: the flash is stopped.
        """
        with self._changed:
            while True:
                self._flow.wait_for(self._changed, self._has_next)
                run = self._row.popleft()
                if run is None or run.length:
                    return run
                self.release(run)  # claimed, and then there was nothing to put into it

    def _has_next(self) -> bool:
        return bool(self._row) and (self._row[0] is None or self._row[0].is_ready)

    def release(self, run: Run) -> None:
        """Its buffer is free again."""
        if run.buffer is None:
            return
        with self._changed:
            self._free.append(run.buffer)
            self._changed.notify_all()


class Sink:
    """The image from its first byte to its last: what a decoder writes into."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._claimed: tuple[Run, Buffer] | None = None
        self._fill = 0
        self._start = 0

    @property
    def offset(self) -> int:
        """How many bytes of the image there are so far."""
        return self._start + self._fill

    def room(self) -> memoryview:
        """Where the next bytes go: at least one; `filled` says how many went there."""
        buffer = self._buffer()
        return buffer.view[self._fill :]

    def room_at(self) -> tuple[int, int]:
        """The address of that room, and its size."""
        buffer = self._buffer()
        return buffer.address + self._fill, len(buffer.view) - self._fill

    def filled(self, count: int) -> None:
        """`count` bytes were put into the room."""
        self._fill += count
        if self._fill == BUFFER_BYTES:
            self._pass_on()

    def put(self, data: bytes | memoryview) -> None:
        """The next bytes, copied."""
        view = memoryview(data)
        while view:
            room = self.room()
            count = min(len(room), len(view))
            room[:count] = view[:count]
            self.filled(count)
            view = view[count:]

    def zeros(self, count: int) -> None:
        """The next bytes are zeros; those of whole pages never come near a buffer."""
        ragged = min(-self.offset % PAGE, count)
        self.put(bytes(ragged))
        count -= ragged
        whole = count // PAGE * PAGE
        if whole:
            self._pass_on()
            self._ring.zeros(self._start, whole)
            self._start += whole
        self.put(bytes(count - whole))

    def seek(self, offset: int) -> None:
        """The next bytes are those at `offset`."""
        if offset != self.offset:
            self._pass_on()
            self._start = offset

    def claim(self, count: int) -> tuple[Run, Buffer]:
        """The next bytes as a run that another thread fills, and then says is ready."""
        self._pass_on()
        claimed = self._ring.claim(self._start)
        self._start += count
        return claimed

    def ready(self, run: Run, length: int) -> None:
        """A run that was claimed has been filled."""
        self._ring.ready(run, length)

    def end(self) -> None:
        """The image is complete."""
        self._pass_on()
        self._ring.end()

    def _buffer(self) -> Buffer:
        if self._claimed is None:
            self._claimed = self._ring.claim(self._start)
        return self._claimed[1]

    def _pass_on(self) -> None:
        if self._claimed is not None:
            self._ring.ready(self._claimed[0], self._fill)
        self._claimed = None
        self._start += self._fill
        self._fill = 0

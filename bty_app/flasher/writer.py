"""Writes the runs of an image to a disk, and its first MiB last of all.

The first MiB has what firmware looks for: the partition table, the boot sector, the header of a
file system. It stays in memory until everything else is on the disk and proven, and the old one is
wiped before anything else is written, as is the backup partition table at the disk's end: what is
left behind by a flash that failed, or was interrupted, does not boot.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from bty_app.errors import FlashWriteError
from bty_app.flasher.bmap import Watch
from bty_app.flasher.device import Device
from bty_app.flasher.memory import BUFFER_BYTES, PAGE, Buffer
from bty_app.flasher.ring import Ring, Run

HEAD_BYTES = 1024 * 1024
TAIL_BYTES = 1024 * 1024
MAX_ZEROS = 1024 * 1024 * 1024  # of one run: between two, a flash can be cancelled


class ImageTooLargeError(FlashWriteError):
    """The image does not end where the disk does."""


@dataclass(frozen=True, slots=True)
class Written:
    """Bytes that were written at `offset`, for a look at them later; zeros without a digest."""

    offset: int
    length: int
    digest: bytes | None


@dataclass(slots=True)
class Tally:
    """How far the writing is; one thread counts, others look."""

    image: int = 0
    written: int = 0
    zeroed: int = 0
    has_begun: bool = False


class Writer:
    """One image, onto one disk."""

    def __init__(
        self,
        device: Device,
        tally: Tally,
        *,
        check_head: Callable[[memoryview], None] = lambda _head: None,
        watch: Watch | None = None,
        records: bool = False,
    ) -> None:
        """`check_head` gets the first bytes of the image before anything is written, and may
        refuse; `watch` says which parts count; `records` keeps a digest of what is written where.
        """
        self._device = device
        self._tally = tally
        self._check_head = check_head
        self._watch = watch
        self._records = records
        self._head = Buffer(HEAD_BYTES)
        self._head_length = 0
        self._zeros_at = self._zeros_length = 0
        self.record: list[Written] = []

    def write_all(self, ring: Ring) -> None:
        """Everything but the first MiB; not yet flushed.

        Raises:
            FlashRefusedError: `check_head` refuses.
            FlashIntegrityError: the image is not what `watch` knows.
            FlashWriteError: the disk failed, or the image is larger than it.
            StoppedError: the flash is stopped.
        """
        while (run := ring.next()) is not None:
            if not self._tally.has_begun:
                self._begin(run)
            self._take(run)
            ring.release(run)
        if self._watch is not None:
            self._watch.finish()
        self._put_zeros()

    def look(self, ring: Ring) -> bool:
        """Whether there is anything to write, and it may be written; nothing is.

        Raises:
            FlashRefusedError: `check_head` refuses.
            StoppedError: the flash is stopped.
        """
        run = ring.next()
        if run is not None:
            self._look_at(run)
        return run is not None

    def write_head(self) -> None:
        """The first MiB, and of that the page with the boot sector and the partition table's
        header last: from here on the disk boots.

        Raises:
            FlashWriteError: the disk failed.
        """
        view = self._head.view[: self._head_length]
        try:
            for start, end in ((PAGE, len(view)), (0, min(PAGE, len(view)))):
                if start < end:
                    self._device.write(view[start:end], start)
                    self._device.flush()
        except FlashWriteError:
            self.take_back()
            raise
        self._note(0, view)
        self._tally.written += len(view)

    def take_back(self) -> None:
        """Wipe what would boot, as far as the disk still does what it is told."""
        with contextlib.suppress(FlashWriteError):  # there is an error to tell already
            self.wipe_edges()

    def wipe_edges(self) -> None:
        """Nothing of the disk boots after this.

        Raises:
            FlashWriteError: the disk failed.
        """
        size = self._device.size
        zeros = Buffer(max(HEAD_BYTES, TAIL_BYTES)).view
        self._device.write(zeros[: min(HEAD_BYTES, size)], 0)
        tail = min(TAIL_BYTES, size)
        self._device.write(zeros[:tail], size - tail)
        self._device.flush()

    def _look_at(self, run: Run) -> None:
        buffer = run.buffer or Buffer(min(run.length, BUFFER_BYTES))
        self._check_head(buffer.view[: min(run.length, BUFFER_BYTES)])

    def _begin(self, run: Run) -> None:
        self._look_at(run)
        self._tally.has_begun = True
        self.wipe_edges()

    def _take(self, run: Run) -> None:
        end = run.offset + run.length
        if end > self._device.size:
            raise ImageTooLargeError(
                f"the image is larger than {self._device.path}, which has {self._device.size} bytes"
            )
        self._tally.image = max(self._tally.image, end)
        if self._watch is None:
            self._put(run.offset, 0, run.length, run.buffer)
            return
        for start, stop, counts in self._watch.parts(run.offset, run.length, run.buffer):
            self._put(run.offset, start, stop, run.buffer if counts else None)

    def _put(self, offset: int, start: int, stop: int, buffer: Buffer | None) -> None:
        """What is in the buffer from `start` to `stop`, or zeros; the image is at `offset`."""
        start += self._hold(offset, start, stop, buffer)
        if buffer is None:
            self._add_zeros(offset + start, stop - start)
            return
        for first, after, is_zero in buffer.runs(start, stop):
            if is_zero:
                self._add_zeros(offset + first, after - first)
            else:
                self._put_data(buffer.view[first:after], offset + first)

    def _hold(self, offset: int, start: int, stop: int, buffer: Buffer | None) -> int:
        """Keep what belongs to the first MiB: how many bytes that was."""
        held = max(0, min(HEAD_BYTES - offset - start, stop - start))
        if held:
            at = offset + start
            self._head_length = max(self._head_length, at + held)
            if buffer is not None:
                self._head.view[at : at + held] = buffer.view[start : start + held]
        return held

    def _put_data(self, view: memoryview, offset: int) -> None:
        self._put_zeros()
        self._device.write(view, offset)
        self._note(offset, view)
        self._tally.written += len(view)

    def _add_zeros(self, offset: int, length: int) -> None:
        """Zeros wait for more of them behind, to be one command."""
        is_apart = offset != self._zeros_at + self._zeros_length
        if is_apart or self._zeros_length >= MAX_ZEROS:
            self._put_zeros()
        if not self._zeros_length:
            self._zeros_at = offset
        self._zeros_length += length

    def _put_zeros(self) -> None:
        offset, length = self._zeros_at, self._zeros_length
        self._zeros_length = 0
        if not length:
            return
        self._device.zero(offset, length)
        if self._records:
            self.record.append(Written(offset, length, None))
        self._tally.zeroed += length

    def _note(self, offset: int, view: memoryview) -> None:
        if self._records:
            digest = hashlib.sha256(view).digest()
            self.record.append(Written(offset, len(view), digest))

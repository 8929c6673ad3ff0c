"""Reads back what was written, past every cache that we know of, and compares."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable, Iterator

from bty_app.errors import FlashWriteError
from bty_app.flasher.device import Device
from bty_app.flasher.flow import Flow
from bty_app.flasher.memory import BUFFER_BYTES, Buffer
from bty_app.flasher.writer import Written

MAX_THREADS = 4


class Verify:
    """One look at everything that was written. `done` bytes are compared so far."""

    def __init__(self, device: Device, record: Iterable[Written], flow: Flow) -> None:
        self._device = device
        self._flow = flow
        self._pieces = _pieces(record)
        self._lock = threading.Lock()
        self.done = 0

    def start(self) -> None:
        """Begin, in threads of the flash; a difference ends it with FlashWriteError."""
        for _ in range(min(MAX_THREADS, len(os.sched_getaffinity(0)))):
            self._flow.start("flash-verify", self._work)

    def _work(self) -> None:
        buffer = Buffer()
        while True:
            self._flow.check()
            with self._lock:
                piece = next(self._pieces, None)
            if piece is None:
                return
            self._compare(piece, buffer)
            with self._lock:
                self.done += piece.length

    def _compare(self, piece: Written, buffer: Buffer) -> None:
        view = buffer.view[: piece.length]
        self._device.read(view, piece.offset)
        if piece.digest is None:
            is_same = buffer.is_zero(0, piece.length)
        else:
            is_same = hashlib.sha256(view).digest() == piece.digest
        if not is_same:
            raise FlashWriteError(
                f"{self._device.path} does not read back what was written, between byte"
                f" {piece.offset} and {piece.offset + piece.length}: the disk is broken"
            )


def _pieces(record: Iterable[Written]) -> Iterator[Written]:
    """The record in parts that fit into a buffer; data always does."""
    for written in record:
        if written.digest is not None:
            yield written
            continue
        for at in range(0, written.length, BUFFER_BYTES):
            length = min(BUFFER_BYTES, written.length - at)
            yield Written(written.offset + at, length, None)

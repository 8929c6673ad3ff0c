"""Compressed clusters of qcow2: each stands for itself, so that all cores unpack them."""

from __future__ import annotations

import os
import queue
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from bty_app.flasher import isal, libzstd
from bty_app.flasher.flow import Flow
from bty_app.flasher.memory import Buffer
from bty_app.flasher.qcow2_format import Extent, Header, damaged

BATCH_BYTES = 1024 * 1024  # unpacked: less is not worth handing over
_WINDOW = -12  # raw deflate, as QEMU writes it

Put = Callable[[int, bytes], None]
_Packed = tuple[Extent, bytes]
_Unpacked = tuple[int, bytes]


class Clusters:
    """Unpacks; `put` gets what comes out, in the caller's thread and in order."""

    def __init__(self, header: Header, flow: Flow, put: Put, workers: int | None = None) -> None:
        workers = workers or len(os.sched_getaffinity(0))
        self._header = header
        self._put = put
        self._pool = flow.pool(workers, "flash-qcow2")
        self._ahead = 2 * workers
        self._batch: list[_Packed] = []
        self._batch_bytes = 0
        self._under_way: deque[Future[list[_Unpacked]]] = deque()
        self._idle: queue.SimpleQueue[_Unpacker] = queue.SimpleQueue()

    def add(self, extent: Extent, data: bytes) -> None:
        """A cluster; what follows it in `data` is of no interest.

        Raises:
            FlashIntegrityError: one before it is damaged.
        """
        self._batch.append((extent, data))
        self._batch_bytes += self._header.cluster
        if self._batch_bytes >= BATCH_BYTES:
            self._submit()

    def flush(self) -> None:
        """Everything is put when this returns.

        Raises:
            FlashIntegrityError: a cluster is damaged.
        """
        if self._batch:
            self._submit()
        self._collect(leave=0)

    def _submit(self) -> None:
        self._collect(leave=self._ahead - 1)
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        self._under_way.append(self._pool.submit(self._unpacked, batch))

    def _collect(self, *, leave: int) -> None:
        while len(self._under_way) > leave:
            for guest, data in self._under_way.popleft().result():
                self._put(guest, data)

    def _unpacked(self, batch: Sequence[_Packed]) -> list[_Unpacked]:
        try:
            unpacker = self._idle.get_nowait()
        except queue.Empty:
            unpacker = _Unpacker(self._header)
        try:
            return [(e.guest, unpacker.cluster(data)[: e.size]) for e, data in batch]
        finally:
            self._idle.put(unpacker)


class _Unpacker:
    """Unpacks one cluster at a time."""

    def __init__(self, header: Header) -> None:
        self._size = header.cluster
        self._buffer = Buffer(header.cluster)
        self._zstd = libzstd.Context() if header.by_zstd else None
        self._isal = isal.Inflate(isal.RAW) if isal.inflates_raw() else None

    def cluster(self, data: bytes) -> bytes:
        if self._zstd is not None:
            out = self._by_zstd(self._zstd, data)
        elif self._isal is not None:
            out = self._by_isal(self._isal, data)
        else:
            out = self._by_zlib(data)
        if len(out) != self._size:
            raise damaged("a compressed cluster of it is too short")
        return out

    def _by_zstd(self, context: libzstd.Context, data: bytes) -> bytes:
        at = made = 0
        while made < self._size and at < len(data):
            room = (self._buffer.address + made, self._size - made)
            taken, count, is_complete = context.stream(data, at, room)
            at, made = at + taken, made + count
            if is_complete:
                break
        return bytes(self._buffer.view[:made])

    def _by_isal(self, inflate: isal.Inflate, data: bytes) -> bytes:
        inflate.start()
        try:
            _taken, made = inflate.decode(data, 0, (self._buffer.address, self._size))
        except ValueError as error:
            raise damaged(f"a compressed cluster of it: {error}") from error
        return bytes(self._buffer.view[:made])

    def _by_zlib(self, data: bytes) -> bytes:
        try:
            return zlib.decompressobj(_WINDOW).decompress(data, self._size)
        except zlib.error as error:
            raise damaged(f"a compressed cluster of it: {error}") from error

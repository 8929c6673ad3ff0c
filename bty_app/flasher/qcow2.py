"""qcow2, decoded as it comes, without a copy of the file.

The tables say where in the file each cluster of the disk is. Whoever writes such a file makes a
table before the first cluster that it lists, so that nearly every cluster is known for what it is
when its bytes come by. Bytes that nothing is known of are kept, up to a bound: a file that keeps
much of its data before its tables is refused.
"""

from __future__ import annotations

import heapq
import zlib
from collections import deque

from bty_app.errors import FlashRefusedError
from bty_app.flasher import libzstd
from bty_app.flasher.memory import BUFFER_BYTES, Buffer
from bty_app.flasher.qcow2_format import (
    HEADER_BYTES,
    Extent,
    Header,
    damaged,
    extents,
    l1_offsets,
    parse_header,
)
from bty_app.flasher.qcow2_kept import Kept, too_late
from bty_app.flasher.ring import Sink

KEPT_BYTES = 64 * 1024 * 1024
_WINDOW = -12  # raw deflate, as QEMU writes it


class Qcow2:
    """A decoder of one file."""

    def __init__(self, sink: Sink) -> None:
        self._out = _Disk(sink)
        self._kept = Kept()
        self._header: Header | None = None
        self._l1: list[int] | None = None
        self._tables: dict[int, list[int]] = {}  # where an L2 table is: what it is about
        self._wanted: list[tuple[int, int, Extent | None]] = []  # a heap, by place in the file
        self._number = 0
        self._unpack = _Unpack()

    def feed(self, data: bytes) -> None:
        self._kept.add(data)
        self._advance(is_end=False)

    def finish(self) -> None:
        self._advance(is_end=True)
        if self._l1 is None or self._tables or self._wanted:
            raise damaged("it is cut off")
        self._out.finish()

    def _advance(self, *, is_end: bool) -> None:
        if self._header is None and not self._has_header():
            return
        if self._l1 is None and not self._has_l1():
            return
        while self._wanted:
            host, _number, extent = self._wanted[0]
            length = extent.length if extent else self._cluster
            if host + length > self._kept.end and not (is_end and extent and extent.is_compressed):
                break  # the last compressed cluster may say that it is longer than the file
            heapq.heappop(self._wanted)
            data = self._kept.at(host, length, is_padded=bool(extent and extent.is_compressed))
            if extent is None:
                self._take_table(host, data)
            else:
                self._take(extent, data)
        self._forget()

    @property
    def _cluster(self) -> int:
        return self._header.cluster if self._header else 0

    def _has_header(self) -> bool:
        if self._kept.end < HEADER_BYTES:
            return False
        self._header = parse_header(self._kept.at(0, HEADER_BYTES))
        if self._header.by_zstd and not libzstd.available():
            raise FlashRefusedError("the image is packed by zstd, which is not on this system")
        return True

    def _has_l1(self) -> bool:
        header = self._header
        if header is None or self._kept.end < header.l1_offset + header.l1_entries * 8:
            self._check_kept()
            return False
        table = self._kept.at(header.l1_offset, header.l1_entries * 8)
        self._l1 = l1_offsets(header, table)
        for number, offset in enumerate(self._l1):
            guest = number * header.span
            if not offset:
                self._out.zeros(guest, min(header.span, header.size - guest))
                continue
            if offset % header.cluster:
                raise damaged("a table of it is not where a table can be")
            if offset not in self._tables:
                self._want(offset, None)
            self._tables.setdefault(offset, []).append(guest)
        return True

    def _take_table(self, host: int, data: bytes) -> None:
        header = self._header
        if header is None:
            return
        for guest in self._tables.pop(host):
            for extent in extents(header, guest, data, BUFFER_BYTES):
                if extent.is_zero:
                    self._out.zeros(extent.guest, extent.size)
                else:
                    self._want(extent.host, extent)

    def _take(self, extent: Extent, data: bytes) -> None:
        header = self._header
        if header is not None and extent.is_compressed:
            data = self._unpack.cluster(header, data)[: extent.size]
        self._out.put(extent.guest, data)

    def _want(self, host: int, extent: Extent | None) -> None:
        self._number += 1
        heapq.heappush(self._wanted, (host, self._number, extent))

    def _forget(self) -> None:
        """Keep no more than may still be asked for."""
        following = self._wanted[0][0] if self._wanted else self._kept.end
        if self._tables:
            self._kept.forget_known(following)
            self._check_kept()
        else:
            self._kept.forget_all(following)

    def _check_kept(self) -> None:
        if self._kept.unknown > KEPT_BYTES:
            raise too_late()


class _Unpack:
    """Unpacks compressed clusters."""

    def __init__(self) -> None:
        self._context: libzstd.Context | None = None
        self._buffer: Buffer | None = None

    def cluster(self, header: Header, data: bytes) -> bytes:
        """The whole cluster; what follows in `data` is of no interest."""
        out = self._by_zstd(header, data) if header.by_zstd else _inflated(header, data)
        if len(out) != header.cluster:
            raise damaged("a compressed cluster of it is too short")
        return out

    def _by_zstd(self, header: Header, data: bytes) -> bytes:
        self._context = self._context or libzstd.Context()
        self._buffer = self._buffer or Buffer(header.cluster)
        at = made = 0
        while made < header.cluster and at < len(data):
            room = (self._buffer.address + made, header.cluster - made)
            taken, count, is_complete = self._context.stream(data, at, room)
            at, made = at + taken, made + count
            if is_complete:
                break
        return bytes(self._buffer.view[:made])


class _Disk:
    """The disk in the order of the file. Its beginning comes first, wherever it is in the file:
    it says whether the image may be written at all.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._waiting: deque[tuple[int, bytes | int]] | None = deque()
        self._waiting_bytes = 0

    def put(self, guest: int, data: bytes) -> None:
        """These bytes."""
        self._take(guest, data)

    def zeros(self, guest: int, count: int) -> None:
        """So many zeros."""
        self._take(guest, count)

    def finish(self) -> None:
        """There is no more."""
        if self._waiting is not None:
            raise damaged("nothing of it is the beginning of the disk")

    def _take(self, guest: int, what: bytes | int) -> None:
        if self._waiting is None:
            self._emit(guest, what)
            return
        if guest:
            self._waiting.append((guest, what))
            self._waiting_bytes += 0 if isinstance(what, int) else len(what)
            if self._waiting_bytes > KEPT_BYTES:
                raise too_late()
            return
        waiting, self._waiting = self._waiting, None
        self._emit(guest, what)
        for one in waiting:
            self._emit(*one)

    def _emit(self, guest: int, what: bytes | int) -> None:
        self._sink.seek(guest)
        if isinstance(what, int):
            self._sink.zeros(what)
        else:
            self._sink.put(what)


def _inflated(header: Header, data: bytes) -> bytes:
    try:
        return zlib.decompressobj(_WINDOW).decompress(data, header.cluster)
    except zlib.error as error:
        raise damaged(f"a compressed cluster of it: {error}") from error

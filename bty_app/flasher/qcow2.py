"""qcow2, decoded as it comes, without a copy of the file.

The tables say where in the file each cluster of the disk is. Whoever writes such a file makes a
table before the first cluster that it lists, so that nearly every cluster is known for what it is
when its bytes come by. Bytes that nothing is known of are kept, up to a bound: then what is still
to come of the tables is read ahead, and nothing needs to be kept any more.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bty_app.errors import FlashRefusedError
from bty_app.flasher import libzstd
from bty_app.flasher.ahead import Ahead, Place
from bty_app.flasher.flow import Flow
from bty_app.flasher.memory import BUFFER_BYTES
from bty_app.flasher.qcow2_clusters import Clusters
from bty_app.flasher.qcow2_format import (
    HEADER_BYTES,
    Extent,
    Header,
    damaged,
    extents,
    l1_offsets,
    parse_header,
)
from bty_app.flasher.qcow2_kept import Kept
from bty_app.flasher.qcow2_room import TableRoom
from bty_app.flasher.ring import Sink

KEPT_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Table:
    """An L2 table that is to come."""

    length: int
    is_padded = False


@dataclass(frozen=True, slots=True)
class _Seen:
    """A part of the file that was read ahead, and has to be the same when it comes."""

    length: int
    digest: bytes
    is_padded = False


@dataclass(frozen=True, slots=True)
class _Data:
    """Clusters that are to come."""

    extent: Extent

    @property
    def length(self) -> int:
        return self.extent.length

    @property
    def is_padded(self) -> bool:
        """Whether something else begins within its last sector."""
        return self.extent.is_compressed


_Wanted = _Table | _Seen | _Data


class Qcow2:
    """A decoder of one file; `ahead` reads what has not come yet."""

    def __init__(self, sink: Sink, flow: Flow) -> None:
        self.ahead: Ahead | None = None
        self._flow = flow
        self._out = _Disk(sink)
        self._kept = Kept()
        self._header: Header | None = None
        self._clusters: Clusters | None = None
        self._l1: list[int] | None = None
        self._tables: dict[int, list[int]] = {}  # where an L2 table is: what it is about
        self._wanted: list[tuple[int, int, _Wanted]] = []  # a heap, by place in the file
        self._number = 0
        self._taken_tables = 0
        self._room = TableRoom()

    def feed(self, data: bytes) -> None:
        self._kept.add(data)
        self._advance(is_end=False)

    def finish(self) -> None:
        self._advance(is_end=True)
        if self._l1 is None or self._tables or self._wanted:
            raise damaged("it is cut off")
        self._flush()
        self._out.finish()

    def _advance(self, *, is_end: bool) -> None:
        header = self._header or self._found_header()
        if header is None or (self._l1 is None and not self._has_l1(header)):
            return
        self._take_known(header, is_end=is_end)
        self._forget()
        if self._tables and self._kept.unknown > KEPT_BYTES:
            self._read_tables(header)
            self._take_known(header, is_end=is_end)
            self._forget()
        if self._out.waiting_bytes > KEPT_BYTES:
            self._read_beginning(header)

    def _take_known(self, header: Header, *, is_end: bool) -> None:
        """Everything that is known for what it is."""
        while self._wanted:
            host, _number, what = self._wanted[0]
            # The last compressed cluster may say that it is longer than the file.
            is_whole = host + what.length <= self._kept.end or (is_end and what.is_padded)
            if not is_whole:
                break
            heapq.heappop(self._wanted)
            data = self._kept.at(host, what.length, is_padded=what.is_padded)
            match what:
                case _Table():
                    self._take_table(header, host, data)
                case _Seen(_length, digest):
                    if hashlib.sha256(data).digest() != digest:
                        raise damaged("a table of it was another one when it was read before")
                case _Data(extent):
                    self._take(extent, data)

    def _found_header(self) -> Header | None:
        if self._kept.end < HEADER_BYTES:
            return None
        header = parse_header(self._kept.at(0, HEADER_BYTES))
        if header.by_zstd and not libzstd.available():
            raise FlashRefusedError("the image is packed by zstd, which is not on this system")
        self._header = header
        self._clusters = Clusters(header, self._flow, self._out.put)
        return header

    def _has_l1(self, header: Header) -> bool:
        length = header.l1_entries * 8
        if self._kept.end >= header.l1_offset + length:
            table = self._kept.at(header.l1_offset, length)
        elif self._kept.unknown > KEPT_BYTES:
            (table,) = self._read([(header.l1_offset, length)])
        else:
            return False
        self._l1 = l1_offsets(header, table)
        tables = sum(map(bool, self._l1))
        self._room.check(tables)
        for number, offset in enumerate(self._l1):
            guest = number * header.span
            if not offset:
                self._out.zeros(guest, min(header.span, header.size - guest))
                continue
            if offset % header.cluster:
                raise damaged("a table of it is not where a table can be")
            if offset not in self._tables:
                self._want(offset, _Table(header.cluster))
            self._tables.setdefault(offset, []).append(guest)
        return True

    def _take_table(self, header: Header, host: int, data: bytes) -> None:
        self._taken_tables += 1
        for guest in self._tables.pop(host):
            for extent in extents(header, guest, data, BUFFER_BYTES):
                if extent.is_zero:
                    self._out.zeros(extent.guest, extent.size)
                else:
                    self._want(extent.host, _Data(extent))
        self._room.check(len(self._wanted), self._taken_tables, len(self._tables))

    def _take(self, extent: Extent, data: bytes) -> None:
        if self._clusters is not None and extent.is_compressed:
            self._clusters.add(extent, data)
        else:
            self._out.put(extent.guest, data)

    def _want(self, host: int, what: _Wanted) -> None:
        self._number += 1
        heapq.heappush(self._wanted, (host, self._number, what))

    def _flush(self) -> None:
        if self._clusters is not None:
            self._clusters.flush()

    def _forget(self) -> None:
        """Keep no more than may still be asked for."""
        following = self._wanted[0][0] if self._wanted else self._kept.end
        if self._tables:
            self._kept.forget_known(following)
        else:
            self._kept.forget_all(following)

    # -- ahead of the stream -------------------------------------------------------------------

    def _read_tables(self, header: Header) -> None:
        """All tables that have not come."""
        hosts = sorted(self._tables)
        self._wanted = [one for one in self._wanted if not isinstance(one[2], _Table)]
        heapq.heapify(self._wanted)
        found = self._read([(host, header.cluster) for host in hosts])
        for host, data in zip(hosts, found, strict=True):
            self._take_table(header, host, data)

    def _read(self, places: Sequence[Place]) -> Iterator[bytes]:
        for place, data in zip(places, self._from_source(places), strict=True):
            if len(data) < place[1]:
                raise damaged("it is cut off")
            self._want(place[0], _Seen(len(data), hashlib.sha256(data).digest()))
            yield data

    def _read_beginning(self, header: Header) -> None:
        """The beginning of the disk, where so much else comes before it."""
        if self._tables:
            self._read_tables(header)
        self._flush()
        data = (what.extent for _, _, what in self._wanted if isinstance(what, _Data))
        first = next((extent for extent in data if not extent.guest), None)
        if first is None:
            return  # the end of the file says what is wrong with it, or it is here by now
        (found,) = self._from_source([(first.host, first.length)])
        if len(found) < first.length and not first.is_compressed:
            raise damaged("it is cut off")
        self._take(first, found)
        self._flush()

    def _from_source(self, places: Sequence[Place]) -> Iterator[bytes]:
        if self.ahead is None:
            raise FlashRefusedError("the qcow2 image does not come in an order that can be written")
        return self.ahead.read(places)


class _Disk:
    """The disk in the order of the file. Its beginning comes first, wherever it is in the file:
    it says whether the image may be written at all.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._waiting: deque[tuple[int, bytes | int]] | None = deque()
        self._first = b""  # the digest of what the beginning was
        self.waiting_bytes = 0

    def put(self, guest: int, data: bytes) -> None:
        """These bytes."""
        if not guest:
            digest = hashlib.sha256(data).digest()
            if self._first not in (b"", digest):  # it may come again, after it was read ahead
                raise damaged("its beginning was another one when it was read before")
            self._first = digest
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
            self.waiting_bytes += 0 if isinstance(what, int) else len(what)
            return
        waiting, self._waiting = self._waiting, None
        self.waiting_bytes = 0
        self._emit(guest, what)
        for one in waiting:
            self._emit(*one)

    def _emit(self, guest: int, what: bytes | int) -> None:
        self._sink.seek(guest)
        if isinstance(what, int):
            self._sink.zeros(what)
        else:
            self._sink.put(what)

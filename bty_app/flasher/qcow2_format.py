"""The tables of qcow2 (the specification: docs/interop/qcow2.txt of QEMU)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from bty_app.errors import FlashIntegrityError, FlashRefusedError

HEADER_BYTES = 112
MAX_L1_BYTES = 32 * 1024 * 1024  # as QEMU
_MAGIC = b"QFI\xfb"
_V2 = struct.Struct(">4sIQIIQIIQQIIQ")
_V3 = struct.Struct(">QQQII")
_COMPRESSION = 104
_CORRUPT, _EXTERNAL, _EXTENDED = 1 << 1, 1 << 2, 1 << 4
_KNOWN = 0b11111
_OFFSET = 0x00FFFFFFFFFFFE00
_COMPRESSED = 1 << 62


@dataclass(frozen=True, slots=True)
class Header:
    """What there is to know of the file; `by_zstd`: how its clusters are compressed."""

    cluster_bits: int
    size: int
    l1_offset: int
    l1_entries: int
    by_zstd: bool

    @property
    def cluster(self) -> int:
        """The size of a cluster."""
        return 1 << self.cluster_bits

    @property
    def span(self) -> int:
        """How much of the disk one L2 table is about."""
        return self.cluster * (self.cluster // 8)


@dataclass(frozen=True, slots=True)
class Extent:
    """`size` bytes of the disk at `guest`; in the file they are `length` bytes at `host`, or
    nowhere, which is zeros.
    """

    guest: int
    size: int
    host: int = 0
    length: int = 0
    is_compressed: bool = False

    @property
    def is_zero(self) -> bool:
        """Whether it is zeros without being in the file."""
        return not self.length


def parse_header(data: bytes) -> Header:
    """The header, of `HEADER_BYTES` or more.

    Raises:
        FlashIntegrityError: it is none, or damaged.
        FlashRefusedError: it is of a kind that cannot be flashed; the sentence names it.
    """
    if len(data) < HEADER_BYTES:
        raise damaged("it is cut off")
    (magic, version, backing, _, bits, size, crypt, entries, l1, _, _, snapshots, _) = (
        _V2.unpack_from(data)
    )
    if magic != _MAGIC or version not in (2, 3):
        raise damaged("its header is none")
    features, compression = 0, 0
    if version == 3:
        features, _compatible, _autoclear, _order, length = _V3.unpack_from(data, _V2.size)
        compression = data[_COMPRESSION] if length > _COMPRESSION else 0
    refusals = (
        (backing, "has a backing file, and is only a part of an image"),
        (crypt, "is encrypted"),
        (snapshots, "has snapshots in it"),
        (features & _EXTERNAL, "keeps its data in another file"),
        (features & _EXTENDED, "has subclusters"),
        (features & _CORRUPT, "is marked as corrupt"),
        (features & ~_KNOWN, "has features that are not known here"),
        (compression > 1, "is compressed in a way that is not known here"),
    )
    for is_so, why in refusals:
        if is_so:
            raise FlashRefusedError(f"the qcow2 image {why}: convert it with `qemu-img convert`")
    header = Header(bits, size, l1, entries, compression == 1)
    if not 9 <= bits <= 21 or l1 % header.cluster or not size:
        raise damaged("its header makes no sense")
    if entries * 8 > MAX_L1_BYTES or entries < -(-size // header.span):
        raise damaged("its table has the wrong size")
    return header


def l1_offsets(header: Header, table: bytes) -> list[int]:
    """Where the L2 tables are, in the order of the disk; 0 is none."""
    count = -(-header.size // header.span)
    return [entry & _OFFSET for entry in struct.unpack_from(f">{count}Q", table)]


def extents(header: Header, guest: int, table: bytes, limit: int) -> Iterator[Extent]:
    """What an L2 table says of the disk from `guest` on, without a gap. Clusters that follow each
    other both in the file and on the disk are one extent of at most `limit` bytes, and so are
    zeros, of any length.
    """
    waiting: Extent | None = None
    for (entry,) in struct.iter_unpack(">Q", table):
        size = min(header.cluster, header.size - guest)
        if size <= 0:
            break
        found = _extent(header, guest, size, entry)
        guest += size
        joined = waiting and _joined(waiting, found, limit)
        if joined is None:
            if waiting is not None:
                yield waiting
            joined = found
        waiting = joined
    if waiting is not None:
        yield waiting


def _extent(header: Header, guest: int, size: int, entry: int) -> Extent:
    if entry & _COMPRESSED:
        shift = 62 - (header.cluster_bits - 8)
        host = entry & (1 << shift) - 1
        sectors = (entry & _COMPRESSED - 1) >> shift
        return Extent(guest, size, host, (sectors + 1) * 512 - host % 512, is_compressed=True)
    host = entry & _OFFSET
    if entry & 1 or not host:
        return Extent(guest, size)
    if host % header.cluster:
        raise damaged("a cluster of it is not where a cluster can be")
    return Extent(guest, size, host, size)


def _joined(first: Extent, second: Extent, limit: int) -> Extent | None:
    """Both as one, where that can be."""
    if first.is_zero and second.is_zero:
        return Extent(first.guest, first.size + second.size)
    is_plain = not (first.is_compressed or second.is_compressed or second.is_zero or first.is_zero)
    follows = first.host + first.length == second.host
    if not is_plain or not follows or first.size + second.size > limit:
        return None
    return Extent(first.guest, first.size + second.size, first.host, first.length + second.length)


def damaged(why: str) -> FlashIntegrityError:
    """The error for a file that is no whole qcow2 image."""
    return FlashIntegrityError(f"the image is no whole qcow2 file: {why}")

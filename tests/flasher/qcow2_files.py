"""qcow2 files whose parts are in any order: programs write few of those that the format allows."""

from __future__ import annotations

import random
import struct
import zlib
from dataclasses import dataclass

SECTOR = 512


@dataclass(frozen=True)
class Layout:
    """How a file is made: `spread` clusters of nothing are strewn in; `late` puts that part
    behind everything else.
    """

    cluster_bits: int = 16
    seed: int = 0
    packed: float = 0.5  # the share of clusters that are compressed
    spread: int = 3
    late: str = ""  # "l1", "tables", "beginning", or ""


def made(data: bytes, layout: Layout) -> bytes:
    """A qcow2 file of the disk `data`, which has whole sectors."""
    return _File(data, layout).whole()


class _File:
    def __init__(self, data: bytes, layout: Layout) -> None:
        self._layout = layout
        self._dice = random.Random(layout.seed)  # noqa: S311 - the same file every time
        self._size = len(data)
        self._cluster = cluster = 1 << layout.cluster_bits
        count = -(-len(data) // cluster)
        padded = data + bytes(count * cluster - len(data))
        self._clusters = [padded[n * cluster :][:cluster] for n in range(count)]
        self._per_table = cluster // 8
        self._tables = -(-count // self._per_table)

    def whole(self) -> bytes:
        """The file: first everything gets its place, then the entries say where that is."""
        cluster = self._cluster
        parts = self._parts()
        places: dict[tuple[str, int], int] = {}
        lengths: dict[int, int] = {}
        at = 2 * cluster  # behind the header, and a table of counts that nobody reads
        for name, body in parts:
            start = at + (self._dice.randrange(200) if name[0] == "packed" else 0)
            places[name], lengths[start] = start, len(body)
            at = -(-(start + len(body)) // cluster) * cluster
        l2 = b"".join(
            self._entry(n, places, lengths) for n in range(self._tables * self._per_table)
        )
        l1 = b"".join(struct.pack(">Q", places["table", n]) for n in range(self._tables))
        out = bytearray(at)
        out[:112] = self._header(places["l1", 0])
        for name, body in parts:
            tables = {"table": l2[name[1] * cluster :][:cluster], "l1": l1}
            out[places[name] : places[name] + len(body)] = tables.get(name[0], body)
        return bytes(out)

    def _parts(self) -> list[tuple[tuple[str, int], bytes]]:
        parts = [(("l1", 0), bytes(self._tables * 8))]
        parts += [(("table", n), bytes(self._cluster)) for n in range(self._tables)]
        parts += [(("nothing", n), b"\xee" * self._cluster) for n in range(self._layout.spread)]
        for number, body in enumerate(self._clusters):
            if not body.strip(b"\0") and number:
                continue
            packed = deflated(body)
            small = len(packed) < self._cluster and self._dice.random() < self._layout.packed
            parts.append((("packed", number), packed) if small else (("plain", number), body))
        self._dice.shuffle(parts)
        late = [part for part in parts if self._is_late(*part[0])]
        return [part for part in parts if part not in late] + late

    def _is_late(self, kind: str, number: int) -> bool:
        match self._layout.late:
            case "l1":
                return kind == "l1"
            case "tables":
                return kind == "table"
            case "beginning":
                return kind in ("plain", "packed") and not number
        return False

    def _entry(
        self, number: int, places: dict[tuple[str, int], int], lengths: dict[int, int]
    ) -> bytes:
        if ("plain", number) in places:
            return struct.pack(">Q", places["plain", number] | 1 << 63)
        if ("packed", number) in places:
            start = places["packed", number]
            sectors = (start + lengths[start] - 1) // SECTOR - start // SECTOR
            return struct.pack(
                ">Q", 1 << 62 | sectors << 62 - (self._layout.cluster_bits - 8) | start
            )
        return struct.pack(">Q", number % 2)  # nowhere, or said to be zeros

    def _header(self, l1: int) -> bytes:
        bits = self._layout.cluster_bits
        first = struct.pack(
            ">4sIQIIQIIQQIIQ",
            b"QFI\xfb",
            3,
            0,
            0,
            bits,
            self._size,
            0,
            self._tables,
            l1,
            self._cluster,
            1,
            0,
            0,
        )
        return first + struct.pack(">QQQIIB7x", 0, 0, 0, 4, 112, 0)


def deflated(body: bytes) -> bytes:
    """A cluster as QEMU compresses it."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -12)
    return packer.compress(body) + packer.flush()

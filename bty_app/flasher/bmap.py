"""A .bmap file, which says which blocks of an image hold something (bmap-tools, 1.x and 2.0)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from bty_app.errors import FlashIntegrityError, FlashRefusedError
from bty_app.flasher.memory import BUFFER_BYTES, Buffer

MAX_BYTES = 16 * 1024 * 1024
_RANGE = re.compile(r"\s*(\d{1,18})(?:\s*-\s*(\d{1,18}))?\s*", re.ASCII)
_CHECKSUM = re.compile(rb"(<BmapFile(?:Checksum|SHA1)>\s*)([0-9a-fA-F]{40,128})(\s*<)")
_ALGORITHMS = frozenset({"sha1", "sha256", "sha384", "sha512"})


class OtherImageError(FlashIntegrityError):
    """The image and its .bmap file do not belong together."""


@dataclass(frozen=True, slots=True)
class Range:
    """Bytes that hold something, from `start` up to `end`; `digest` is theirs, where told."""

    start: int
    end: int
    digest: str | None


@dataclass(frozen=True, slots=True)
class Bmap:
    """The ranges of an image of `size` bytes, in order."""

    size: int
    algorithm: str
    ranges: Sequence[Range]


def parse(data: bytes) -> Bmap:
    """The content of a .bmap file.

    Raises:
        FlashRefusedError: it is none, or damaged.
    """
    if len(data) > MAX_BYTES:
        raise _bad(f"it is larger than {MAX_BYTES} bytes")
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise _bad("it declares entities")
    try:
        root = ElementTree.fromstring(data)  # noqa: S314 - without entities it cannot grow
        return _parsed(root, data)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise _bad(str(error)) from error


def _parsed(root: ElementTree.Element, data: bytes) -> Bmap:
    major = root.get("version", "").partition(".")[0]
    if root.tag != "bmap" or major not in ("1", "2"):
        raise _bad(f"its version is {root.get('version')!r:.20}")
    algorithm = (root.findtext("ChecksumType") or "sha1").strip()
    if algorithm not in _ALGORITHMS:
        raise _bad(f"its checksums are of the type {algorithm!r:.20}")
    _check_itself(data, algorithm)
    size, block = _number(root, "ImageSize"), _number(root, "BlockSize")
    if not size or not block:
        raise _bad("its image or its blocks have no size")
    ranges: list[Range] = []
    for element in root.iterfind("BlockMap/Range"):
        found = _RANGE.fullmatch(element.text or "")
        if not found:
            raise _bad(f"a range of it is {element.text!r:.40}")
        first, last = int(found[1]), int(found[2] or found[1])
        digest = element.get("chksum") or element.get("sha1")
        before = ranges[-1].end if ranges else 0
        made = Range(first * block, min((last + 1) * block, size), digest and digest.lower())
        if not before <= made.start < made.end:
            raise _bad("its ranges are not in order, or not in the image")
        ranges.append(made)
    return Bmap(size, algorithm, ranges)


def _check_itself(data: bytes, algorithm: str) -> None:
    found = _CHECKSUM.search(data)
    if not found:
        return
    start, end = found.span(2)
    plain = data[:start] + b"0" * (end - start) + data[end:]
    if hashlib.new(algorithm, plain).hexdigest().encode() != found[2].lower():
        raise _bad("its checksum of itself is wrong")


def _number(root: ElementTree.Element, name: str) -> int:
    found = _RANGE.fullmatch(root.findtext(name) or "")
    if not found or found[2]:
        raise _bad(f"it has no {name}")
    return int(found[1])


class Watch:
    """Looks at an image as it comes, in order: which parts of it count, and whether they are what
    the .bmap file says.
    """

    def __init__(self, bmap: Bmap) -> None:
        self._bmap = bmap
        self._at = 0
        self._hasher: Any = None
        self._position = 0

    def parts(
        self, offset: int, length: int, buffer: Buffer | None
    ) -> Iterator[tuple[int, int, bool]]:
        """The bytes of a run as (start, end, whether they count), from 0 to `length`.

        Raises:
            FlashIntegrityError: they are not what the .bmap file says.
        """
        if offset != self._position:
            raise self._other("it does not come in order")
        self._position = end = offset + length
        if end > self._bmap.size:
            raise self._other(f"it is larger than {self._bmap.size} bytes")
        while offset < end:
            found = self._range()
            if found is None or end <= found.start:
                after, counts = end, False
            elif offset < found.start:
                after, counts = found.start, False
            else:
                after, counts = min(end, found.end), True
            start = offset - (self._position - length)
            stop = after - (self._position - length)
            if found is not None and counts:
                self._take(found, buffer, start, stop, is_last=after == found.end)
            yield start, stop, counts
            offset = after

    def finish(self) -> None:
        """The image is complete.

        Raises:
            FlashIntegrityError: it is not.
        """
        if self._position != self._bmap.size:
            raise self._other(f"it has {self._position} bytes, not {self._bmap.size}")

    def _range(self) -> Range | None:
        """The range that the position is in or before."""
        ranges = self._bmap.ranges
        return ranges[self._at] if self._at < len(ranges) else None

    def _take(
        self, found: Range, buffer: Buffer | None, start: int, stop: int, *, is_last: bool
    ) -> None:
        if found.digest is not None:
            self._hasher = self._hasher or hashlib.new(self._bmap.algorithm)
            while start < stop:
                count = min(BUFFER_BYTES, stop - start)
                self._hasher.update(
                    bytes(count) if buffer is None else buffer.view[start : start + count]
                )
                start += count
        if not is_last:
            return
        self._at += 1
        hasher, self._hasher = self._hasher, None
        if hasher is not None and hasher.hexdigest() != found.digest:
            raise self._other(f"the checksum from byte {found.start} to {found.end} is wrong")

    @staticmethod
    def _other(why: str) -> OtherImageError:
        return OtherImageError(f"the image is not that of its .bmap file: {why}")


def _bad(why: str) -> FlashRefusedError:
    return FlashRefusedError(f"the .bmap file cannot be used: {why}")

"""A single byte range of a file (RFC 9110, section 14)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SINGLE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Span:
    """`length` bytes from offset `start`; of length 0 where nothing of the file is meant."""

    start: int
    length: int


def span_of(header: str | None, size: int) -> Span | None:
    """The span that a Range header asks for; None means the whole file.

    A header that is malformed, of another unit, or with several ranges is ignored, as section
    14.2 allows. A range that lies outside the file (status 416) is a span of length 0.
    """
    match = _SINGLE.fullmatch(header) if header else None
    if match is None:
        return None
    first, last = match.groups()
    if not first and not last:
        return None
    if not first:
        length = min(int(last), size)
        return Span(size - length, length)
    start = int(first)
    end = min(int(last), size - 1) if last else size - 1
    if last and int(last) < start:
        return None
    return Span(start, end - start + 1) if start < size else Span(size, 0)

"""What the head of an answer declares, taken only so far as it makes sense."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from urllib3 import BaseHTTPResponse

from bty_app.errors import TooLargeError, UnavailableError

_SIZE_LIMIT = 2**63 - 1  # what an SQLite integer holds
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)
_ASKED = re.compile(r"bytes=(\d{1,18})-(\d{0,18})", re.ASCII)


class StatusError(UnavailableError):
    """An answer that is no success; `status` says which."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Part:
    """The bytes of a file from `start` up to `end`, of `total`; None is not told."""

    start: int
    end: int | None
    total: int | None


def declared_size(headers: Mapping[str, str]) -> int | None:
    """The size that Content-Length declares, where it is a number of bytes."""
    text = headers.get("Content-Length", "")
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) > _SIZE_LIMIT:
        return None
    return int(text)


def check_status(shown: str, response: BaseHTTPResponse, *wanted: int) -> None:
    """Refuse any other status.

    Raises:
        StatusError: it is another one.
    """
    if response.status not in wanted:
        sentence = f"{shown} answers {response.status}, not 200"
        raise StatusError(sentence, status=response.status)


def check_plain(shown: str, response: BaseHTTPResponse) -> None:
    """Refuse a body that is not the bytes themselves.

    Raises:
        UnavailableError: it is compressed.
    """
    if response.headers.get("Content-Encoding", "identity").lower() not in ("identity", ""):
        raise UnavailableError(f"{shown} sends its body compressed, though told not to")


def part_of(shown: str, response: BaseHTTPResponse, asked: str | None) -> Part:
    """Which bytes of the file an answer of 200 or 206 has; `asked` is the Range that was sent.

    Raises:
        UnavailableError: a part that was not asked for, or that nobody can place (RFC 9110 14.4).
    """
    length = declared_size(response.headers)
    if response.status != 206:
        return Part(0, length, length)
    found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if not found:
        raise UnavailableError(f"{shown} sends a part without saying which")
    part = Part(int(found[1]), int(found[2]) + 1, None if found[3] == "*" else int(found[3]))
    if not _makes_sense(part, length):
        raise UnavailableError(f"{shown} sends a part that cannot be: {found[0]!r}")
    if not _is_asked_for(part, asked):
        raise UnavailableError(f"{shown} sends another part than was asked for: {found[0]!r}")
    return part


def too_large(shown: str, limit: int) -> TooLargeError:
    """The error for a body of more than `limit` bytes."""
    return TooLargeError(f"{shown} is larger than {limit // 1024} KiB")


def _makes_sense(part: Part, length: int | None) -> bool:
    end = part.end or 0
    if part.start >= end or (part.total is not None and end > part.total):
        return False
    return length is None or length == end - part.start


def _is_asked_for(part: Part, asked: str | None) -> bool:
    found = _ASKED.fullmatch(asked or "")
    if not found or part.start != int(found[1]):
        return False
    ends = [] if part.total is None else [part.total]
    if found[2]:
        ends.append(int(found[2]) + 1)
    return not ends or part.end == min(ends)

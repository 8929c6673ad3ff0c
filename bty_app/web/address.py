"""The values in a page's address: one that makes no sense counts as not given."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Protocol
from urllib.parse import urlencode


class Asked(Protocol):
    """What has parameters: a request, or the query string of one."""

    def get_param(self, name: str, /) -> str | None: ...


PAGE_SIZES = (10, 25, 50, 100)
MAX_PAGE = 1_000_000
MAX_TEXT = 200


def address_of(query: Any, usual: Any) -> str:
    """The query string of a dataclass, what is as usual left out."""
    given = {
        field.name: getattr(query, field.name)
        for field in fields(query)
        if getattr(query, field.name) != getattr(usual, field.name)
    }
    return urlencode(given, errors="replace")


def text_of(req: Asked, name: str) -> str:
    """What was typed, bounded."""
    return (req.get_param(name) or "").strip()[:MAX_TEXT]


def one_of(value: str, known: tuple[str, ...], usual: str) -> str:
    """A value that the page knows."""
    return value if value in known else usual


def number_of(req: Asked, name: str, usual: int, known: range | tuple[int, ...]) -> int:
    """A number that the page knows."""
    text = req.get_param(name) or ""
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else usual
    return number if number in known else usual

"""The mark in files that we wrote: it tells them from those of others, and from changed ones."""

from __future__ import annotations

import hashlib
import re
from enum import Enum

from bty_app import __version__

_MARK = re.compile(r"(?:# |<!-- )Written by bty (\S+) \(([0-9a-f]{16})\)[^\n]*\n")


class Origin(Enum):
    """Whose text it is."""

    OURS = "ours, as it was written"
    CHANGED = "ours, changed since"
    FOREIGN = "not ours"


def marked(text: str, *, comment: tuple[str, str] = ("# ", "")) -> str:
    """The text with our mark as its first line; `comment` is what stands around a comment."""
    before, behind = comment
    words = "change envvars in place of it, and run bty deploy"
    return f"{before}Written by bty {__version__} ({_digest(text)}): {words}{behind}\n{text}"


def origin(text: str) -> Origin:
    """Whose it is."""
    found = _MARK.match(text)
    if found is None:
        return Origin.FOREIGN
    return Origin.OURS if _digest(text[found.end() :]) == found[2] else Origin.CHANGED


def writer(text: str) -> str:
    """The release that wrote it; empty where it is not ours."""
    found = _MARK.match(text)
    return found[1] if found else ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]

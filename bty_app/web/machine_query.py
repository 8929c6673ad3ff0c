"""What the address of the machines page says: search, filters, order, page."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl

from bty_app.domain.image_source import IMAGE_REF
from bty_app.domain.machine import BootMode, Phase
from bty_app.domain.moments import stamp
from bty_app.errors import ValidationError
from bty_app.services.machines import Page
from bty_app.web.address import (
    MAX_PAGE,
    MAX_TEXT,
    PAGE_SIZES,
    Asked,
    address_of,
    number_of,
    one_of,
    text_of,
)
from bty_app.web.records import Parameters
from bty_app.web.shapes import Text, Word, words_of

SORTS = ("mac", "bty_image_ref", "boot_mode", "last_seen_at", "last_seen_ip", "last_flashed_at")
FILTERS = ("discovered", "assigned")
DEFAULT_SIZE = 50
# How the address spells a filter by the last contact: its words, and the hours it means.
SEEN = {
    "1h": ("in the last hour", 1),
    "1d": ("in the last day", 24),
    "7d": ("in the last 7 days", 168),
    "not-1d": ("not in the last day", 24),
    "not-7d": ("not in the last 7 days", 168),
    "not-30d": ("not in the last 30 days", 720),
    "never": ("never", 0),
}

# What selects machines: to scripts, a value that makes no sense is an error.
SELECTING: Final[Mapping[str, Word]] = {
    "q": Text("A part of what a person sees.", most=MAX_TEXT),
    "filter": Text("Without an image, or with one.", one_of=FILTERS),
    "mode": Text("The boot mode.", one_of=words_of(BootMode)),
    "phase": Text("Where it is in its cycle.", one_of=words_of(Phase)),
    "label": Text("A label that it has.", most=MAX_TEXT),
    "image": Text("The ref of its image.", pattern=IMAGE_REF.pattern),
    "seen": Text("Its last contact.", one_of=tuple(SEEN)),
}
# What the address of the page may have beside it, and selects nothing.
_BESIDE: Final[Mapping[str, Word]] = {
    name: Text() for name in ("sort", "dir", "page", "per_page", "rev")
}

_DASHED_MAC = re.compile(r"[0-9a-fA-F]{2}(?:-[0-9a-fA-F]{2})+-?", re.ASCII)


@dataclass(frozen=True, slots=True)
class MachineQuery:
    """Every value is one that the page knows; the names are those of the address."""

    q: str = ""
    filter: str = ""
    mode: str = ""
    phase: str = ""
    label: str = ""
    image: str = ""
    seen: str = ""
    sort: str = "mac"
    dir: str = "asc"
    page: int = 1
    per_page: int = DEFAULT_SIZE

    @property
    def is_filtered(self) -> bool:
        """Whether some machines may be left out."""
        return self._selected() != MachineQuery()

    def address(self, **changes: Any) -> str:
        """The query string of this page with `changes`, what is as usual left out."""
        return address_of(replace(self, **changes), MachineQuery())

    def sorted_by(self, column: str) -> str:
        """The query string that orders by `column`, or turns its order round."""
        turned = self.sort == column and self.dir == "asc"
        return self.address(sort=column, dir="desc" if turned else "asc", page=1)

    def selection(self) -> str:
        """The query string of what matches, wherever in it this page stands."""
        return self._selected().address()

    def _selected(self) -> MachineQuery:
        return replace(self, sort="mac", dir="asc", page=1, per_page=DEFAULT_SIZE)

    def mark(self) -> str:
        """The id of the mark for all that match: of another selection it is another mark."""
        return f"mark-all-{hashlib.sha256(self.selection().encode()).hexdigest()[:12]}"

    def rows(self, now: datetime) -> Page:
        """What to read at `now`."""
        hours = SEEN[self.seen][1] if self.seen else 0
        since = stamp(now - timedelta(hours=hours)) if hours else None
        before = self.seen.startswith("not-")
        return Page(
            search=self.q.replace("-", ":") if _DASHED_MAC.fullmatch(self.q) else self.q or None,
            boot_mode=self.mode or None,
            phase=self.phase or None,
            label=self.label or None,
            image_ref=self.image or None,
            bound={"assigned": True, "discovered": False}.get(self.filter),
            seen=False if self.seen == "never" else None,
            seen_since=None if before else since,
            not_seen_since=since if before else None,
            sort=self.sort,
            descending=self.dir == "desc",
            offset=(self.page - 1) * self.per_page,
            limit=self.per_page,
        )


class QueryString:
    """The parameters in a query string, the first of each name."""

    def __init__(self, text: str) -> None:
        self._given = dict(reversed(parse_qsl(text[:4096], max_num_fields=50)))

    def get_param(self, name: str, /) -> str | None:
        """The parameter, or None."""
        return self._given.get(name)


def query_of(req: Asked) -> MachineQuery:
    """The query of a request; a value that makes no sense counts as not given."""
    mode, sort = req.get_param("mode") or "", req.get_param("sort") or ""
    image = req.get_param("image") or ""
    wanted: dict[str, Any] = {
        "q": text_of(req, "q"),
        "filter": one_of(req.get_param("filter") or "", FILTERS, ""),
        "mode": mode if mode in set(BootMode) else "",
        "phase": one_of(req.get_param("phase") or "", tuple(Phase), ""),
        "seen": one_of(req.get_param("seen") or "", tuple(SEEN), ""),
        "label": text_of(req, "label"),
        "image": image if IMAGE_REF.fullmatch(image) else "",
        "sort": one_of(sort, SORTS, "mac"),
        "dir": one_of(req.get_param("dir") or "", ("asc", "desc"), "asc"),
        "page": number_of(req, "page", 1, range(1, MAX_PAGE + 1)),
        "per_page": number_of(req, "per_page", DEFAULT_SIZE, PAGE_SIZES),
    }
    return MachineQuery(**wanted)


def selected(given: Mapping[str, str | None]) -> MachineQuery:
    """The query of checked parameters."""
    words: dict[str, Any] = {name: (given[name] or "").strip() for name in SELECTING}
    return MachineQuery(**words)


def selected_in(text: str) -> MachineQuery:
    """The query in the address of a list, for acts: nothing in it may be passed over.

    Raises:
        ValidationError: it has a parameter that selects nothing, or a value that makes no sense:
            without it, more machines would be meant.
    """
    try:
        pairs = parse_qsl(text[:4096], max_num_fields=50)
    except ValueError as error:
        raise ValidationError("matching: it has too many parameters") from error
    if len(text) > 4096 or len(dict(pairs)) < len(pairs):
        raise ValidationError("matching: it is too long, or has a parameter twice")
    return selected(Parameters({**SELECTING, **_BESIDE}).checked(dict(pairs)))

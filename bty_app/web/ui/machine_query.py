"""What the address of the machines page says: search, filters, order, page."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import urlencode

import falcon

from bty_app.domain.machine import BootMode
from bty_app.services.machines import Page

SORTS = ("mac", "bty_image_ref", "boot_mode", "last_seen_at", "last_seen_ip", "last_flashed_at")
PAGE_SIZES = (10, 25, 50, 100)
FILTERS = ("discovered", "assigned")
DEFAULT_SIZE = 50
MAX_PAGE = 1_000_000
MAX_TEXT = 200

_DASHED_MAC = re.compile(r"[0-9a-fA-F]{2}(?:-[0-9a-fA-F]{2})+-?", re.ASCII)


@dataclass(frozen=True, slots=True)
class MachineQuery:
    """Every value is one that the page knows; the names are those of the address."""

    q: str = ""
    filter: str = ""
    mode: str = ""
    label: str = ""
    sort: str = "mac"
    dir: str = "asc"
    page: int = 1
    per_page: int = DEFAULT_SIZE

    @property
    def is_filtered(self) -> bool:
        """Whether some machines may be left out."""
        return bool(self.q or self.filter or self.mode or self.label)

    def address(self, **changes: Any) -> str:
        """The query string of this page with `changes`, what is as usual left out."""
        wanted = replace(self, **changes)
        usual = MachineQuery()
        given = {
            field.name: getattr(wanted, field.name)
            for field in fields(wanted)
            if getattr(wanted, field.name) != getattr(usual, field.name)
        }
        return urlencode(given, errors="replace")

    def sorted_by(self, column: str) -> str:
        """The query string that orders by `column`, or turns its order round."""
        turned = self.sort == column and self.dir == "asc"
        return self.address(sort=column, dir="desc" if turned else "asc", page=1)

    def rows(self) -> Page:
        """What to read."""
        return Page(
            search=self.q.replace("-", ":") if _DASHED_MAC.fullmatch(self.q) else self.q or None,
            boot_mode=self.mode or None,
            label=self.label or None,
            bound={"assigned": True, "discovered": False}.get(self.filter),
            sort=self.sort,
            descending=self.dir == "desc",
            offset=(self.page - 1) * self.per_page,
            limit=self.per_page,
        )


def query_of(req: falcon.Request) -> MachineQuery:
    """The query of a request; a value that makes no sense counts as not given."""
    mode, sort = req.get_param("mode") or "", req.get_param("sort") or ""
    wanted: dict[str, Any] = {
        "q": _text(req, "q"),
        "filter": _one_of(req.get_param("filter") or "", FILTERS, ""),
        "mode": mode if mode in set(BootMode) else "",
        "label": _text(req, "label"),
        "sort": _one_of(sort, SORTS, "mac"),
        "dir": _one_of(req.get_param("dir") or "", ("asc", "desc"), "asc"),
        "page": _number(req, "page", 1, range(1, MAX_PAGE + 1)),
        "per_page": _number(req, "per_page", DEFAULT_SIZE, PAGE_SIZES),
    }
    return MachineQuery(**wanted)


def _text(req: falcon.Request, name: str) -> str:
    return (req.get_param(name) or "").strip()[:MAX_TEXT]


def _one_of(value: str, known: tuple[str, ...], usual: str) -> str:
    return value if value in known else usual


def _number(req: falcon.Request, name: str, usual: int, known: range | tuple[int, ...]) -> int:
    text = req.get_param(name) or ""
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else usual
    return number if number in known else usual

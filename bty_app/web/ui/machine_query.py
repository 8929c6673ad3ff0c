"""What the address of the machines page says: search, filters, order, page."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import falcon

from bty_app.domain.image_source import IMAGE_REF
from bty_app.domain.machine import BootMode
from bty_app.services.machines import Page
from bty_app.web.ui.address import (
    MAX_PAGE,
    PAGE_SIZES,
    address_of,
    number_of,
    one_of,
    text_of,
)

SORTS = ("mac", "bty_image_ref", "boot_mode", "last_seen_at", "last_seen_ip", "last_flashed_at")
FILTERS = ("discovered", "assigned")
DEFAULT_SIZE = 50

_DASHED_MAC = re.compile(r"[0-9a-fA-F]{2}(?:-[0-9a-fA-F]{2})+-?", re.ASCII)


@dataclass(frozen=True, slots=True)
class MachineQuery:
    """Every value is one that the page knows; the names are those of the address."""

    q: str = ""
    filter: str = ""
    mode: str = ""
    label: str = ""
    image: str = ""
    sort: str = "mac"
    dir: str = "asc"
    page: int = 1
    per_page: int = DEFAULT_SIZE

    @property
    def is_filtered(self) -> bool:
        """Whether some machines may be left out."""
        return bool(self.q or self.filter or self.mode or self.label or self.image)

    def address(self, **changes: Any) -> str:
        """The query string of this page with `changes`, what is as usual left out."""
        return address_of(replace(self, **changes), MachineQuery())

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
            image_ref=self.image or None,
            bound={"assigned": True, "discovered": False}.get(self.filter),
            sort=self.sort,
            descending=self.dir == "desc",
            offset=(self.page - 1) * self.per_page,
            limit=self.per_page,
        )


def query_of(req: falcon.Request) -> MachineQuery:
    """The query of a request; a value that makes no sense counts as not given."""
    mode, sort = req.get_param("mode") or "", req.get_param("sort") or ""
    image = req.get_param("image") or ""
    wanted: dict[str, Any] = {
        "q": text_of(req, "q"),
        "filter": one_of(req.get_param("filter") or "", FILTERS, ""),
        "mode": mode if mode in set(BootMode) else "",
        "label": text_of(req, "label"),
        "image": image if IMAGE_REF.fullmatch(image) else "",
        "sort": one_of(sort, SORTS, "mac"),
        "dir": one_of(req.get_param("dir") or "", ("asc", "desc"), "asc"),
        "page": number_of(req, "page", 1, range(1, MAX_PAGE + 1)),
        "per_page": number_of(req, "per_page", DEFAULT_SIZE, PAGE_SIZES),
    }
    return MachineQuery(**wanted)

"""What the address of the catalog page says: search, filter, order, page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import falcon

from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.image_source import without_credentials
from bty_app.web.address import (
    MAX_PAGE,
    PAGE_SIZES,
    address_of,
    number_of,
    one_of,
    text_of,
)

DEFAULT_SIZE = 50
FILTERS = {
    "used": "in use",
    "unused": "unused",
    "gone": "gone upstream",
    "undigested": "without digest",
}
# As CONTRACT 3.9 has them; without one, the order in which they were added.
SORTS: Mapping[str, Callable[[CatalogEntry], str]] = {
    "name": lambda entry: entry.name.casefold(),
    "sha256": lambda entry: entry.disk_image_sha or "",
    "format": lambda entry: entry.format or "",
    "arch": lambda entry: entry.arch or "",
    "ref": lambda entry: entry.bty_image_ref,
}


@dataclass(frozen=True, slots=True)
class CatalogQuery:
    """Every value is one that the page knows; the names are those of the address."""

    q: str = ""
    filter: str = ""
    sort: str = ""
    dir: str = "asc"
    page: int = 1
    per_page: int = DEFAULT_SIZE

    @property
    def is_filtered(self) -> bool:
        """Whether some images may be left out."""
        return bool(self.q or self.filter)

    def address(self, **changes: Any) -> str:
        """The query string of this page with `changes`, what is as usual left out."""
        return address_of(replace(self, **changes), CatalogQuery())

    def sorted_by(self, column: str) -> str:
        """The query string that orders by `column`, or turns its order round."""
        turned = self.sort == column and self.dir == "asc"
        return self.address(sort=column, dir="desc" if turned else "asc", page=1)

    def found(
        self, entries: Sequence[CatalogEntry], used: Mapping[str, int]
    ) -> Sequence[CatalogEntry]:
        """What matches, in its order; `used` counts the machines of each ref."""
        found = [entry for entry in entries if self._matches(entry, used)]
        if self.sort:
            found.sort(key=SORTS[self.sort])
        return found[::-1] if self.dir == "desc" else found

    def _matches(self, entry: CatalogEntry, used: Mapping[str, int]) -> bool:
        if self.q and not _mentions(entry, self.q.casefold()):
            return False
        match self.filter:
            case "used":
                return bool(used.get(entry.bty_image_ref))
            case "unused":
                return not used.get(entry.bty_image_ref)
            case "gone":
                return entry.gone_at is not None
            case "undigested":
                return entry.disk_image_sha is None
            case _:
                return True


def query_of(req: falcon.Request) -> CatalogQuery:
    """The query of a request; a value that makes no sense counts as not given."""
    wanted: dict[str, Any] = {
        "q": text_of(req, "q"),
        "filter": one_of(req.get_param("filter") or "", tuple(FILTERS), ""),
        "sort": one_of(req.get_param("sort") or "", tuple(SORTS), ""),
        "dir": one_of(req.get_param("dir") or "", ("asc", "desc"), "asc"),
        "page": number_of(req, "page", 1, range(1, MAX_PAGE + 1)),
        "per_page": number_of(req, "per_page", DEFAULT_SIZE, PAGE_SIZES),
    }
    return CatalogQuery(**wanted)


def _mentions(entry: CatalogEntry, wanted: str) -> bool:
    """Of a ref the beginning counts; a password in the source cannot be found by guessing."""
    said = (entry.name, without_credentials(entry.src), entry.description or "")
    return entry.bty_image_ref.startswith(wanted) or any(wanted in text.casefold() for text in said)

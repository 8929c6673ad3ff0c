"""The catalog page: the images, who uses them, and whether they are where they should be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

import falcon

from bty_app.domain.cache_state import CacheKind, CacheState
from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.image_source import without_credentials
from bty_app.domain.jobs import Job
from bty_app.services.catalog import Catalog
from bty_app.services.catalog_jobs import CatalogJobs
from bty_app.services.catalog_upstream import CatalogUpstream
from bty_app.services.last_checks import LastChecks
from bty_app.services.revisions import Revisions
from bty_app.web.address import PAGE_SIZES
from bty_app.web.pages import Answer, Pages
from bty_app.web.ui.catalog_query import FILTERS, CatalogQuery, query_of
from bty_app.web.ui.catalog_words import Mark, cache_mark, check_mark
from bty_app.web.ui.shared import Shared

TOPICS = ("catalog", "machines", "jobs", "settings", "checks", "cache")
COLUMNS = (
    ("name", "Image"),
    ("", "Size"),
    ("sha256", "Digest"),
    ("", "Source"),
    ("", "Used by"),
    ("", "Cache"),
    ("", "Last check"),
    ("", "Acts"),
)


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Who knows what about images."""

    catalog: Catalog
    upstream: CatalogUpstream
    jobs: CatalogJobs
    checks: LastChecks
    cache_state: Callable[[CatalogEntry], CacheState]


@dataclass(frozen=True, slots=True)
class Row:
    """An image as the table shows it; `src` and `upstream` are for people."""

    entry: CatalogEntry
    src: str
    used: int
    cache: CacheKind
    cache_mark: Mark | None
    warming: Job | None
    checked_at: str | None
    check_mark: Mark | None


class CatalogTable:
    """The table for a query, made once for all who look at it."""

    def __init__(self, pages: Pages, knowledge: Knowledge, revisions: Revisions) -> None:
        self._pages = pages
        self._known = knowledge
        self._revisions = revisions
        self._shared: Shared[str] = Shared()

    def revision(self) -> str:
        """The revision of all that the table shows."""
        return self._revisions.current(*TOPICS)

    def html(self, query: CatalogQuery, *, exact: bool = True) -> str:
        """The table with what stands around it, marked with its revision."""
        revision = self.revision()  # before reading: a newer row is no harm
        return self._shared.get(
            query.address(), revision, lambda: self._made(query, revision), exact=exact
        )

    def send(self, resp: falcon.Response, query: CatalogQuery) -> None:
        """Answer with the table alone."""
        self._pages.send_part(resp, self.html(query, exact=False))

    def _made(self, query: CatalogQuery, revision: str) -> str:
        known = self._known
        entries, used = known.catalog.published().entries, known.catalog.in_use()
        found = query.found(entries, used)
        pages = max(1, -(-len(found) // query.per_page))
        query = replace(query, page=min(query.page, pages))
        start = (query.page - 1) * query.per_page
        warming = known.jobs.warming()
        rows = [self._row(e, used, warming) for e in found[start : start + query.per_page]]
        jobs, waiting = known.jobs.shown()
        values: dict[str, object] = {
            "query": query,
            "rows": rows,
            "total": len(found),
            "is_empty": not entries,
            "pages": pages,
            "columns": COLUMNS,
            "jobs": jobs,
            "waiting": waiting,
            "source": known.upstream.source(),
            "taken": known.upstream.taken(),
            "poll": f"/ui/catalog/rows?{urlencode({'rev': revision})}&{query.address()}",
        }
        return self._pages.part("catalog_list.html", values)

    def _row(self, entry: CatalogEntry, used: Mapping[str, int], warming: Mapping[str, Job]) -> Row:
        ref = entry.bty_image_ref
        checked, state = self._known.checks.of(entry), self._known.cache_state(entry)
        return Row(
            entry,
            without_credentials(entry.src),
            used.get(ref, 0),
            state.kind,
            cache_mark(state, warming.get(ref)),
            warming.get(ref),
            checked.checked_at if checked else None,
            check_mark(checked) if checked else None,
        )


class CatalogView:
    """The whole page: the table, and the forms that add to it."""

    def __init__(self, pages: Pages, table: CatalogTable) -> None:
        self._pages = pages
        self._table = table

    def render(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        query: CatalogQuery,
        *,
        status: int = 200,
        **more: object,
    ) -> None:
        """Answer with the page; `more` is what was entered, what is wrong, what was done."""
        usual: dict[str, object] = {
            "query": query,
            "table": self._table.html(query),
            "here": f"/ui/catalog?{query.address()}".rstrip("?"),
            "filters": FILTERS,
            "sizes": PAGE_SIZES,
            "entered": {"image_url": "", "sha_url": ""},
            "problems": {},
            "done": "",
            "subject": "",
        }
        self._pages.render(req, resp, Answer("catalog.html", usual | more, status))


class CatalogPage:
    """`/ui/catalog`."""

    def __init__(self, view: CatalogView) -> None:
        self._view = view

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The page; everything about it is in its address."""
        query = query_of(req)
        if req.get_header("HX-Request"):
            resp.set_header("HX-Replace-Url", f"/ui/catalog?{query.address()}")
        done = next((name for name in _DONE if req.get_param(name)), "")
        subject = (req.get_param(done) or "")[:300] if done else ""
        self._view.render(req, resp, query, done=done, subject=subject)


_DONE = ("added", "deleted", "uploaded")

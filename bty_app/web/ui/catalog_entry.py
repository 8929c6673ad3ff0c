"""One image's pages: say otherwise what it is, or remove it."""

from __future__ import annotations

from urllib.parse import urlencode

import falcon

from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.catalog_edit import FIELDS
from bty_app.domain.image_source import without_credentials
from bty_app.domain.image_target import is_rolling
from bty_app.errors import ConflictError
from bty_app.services.catalog import Catalog
from bty_app.web.forms import form_of
from bty_app.web.pages import Answer, Pages, see_other
from bty_app.web.ui import catalog_form
from bty_app.web.ui.catalog_form import Entered


class EntryPage:
    """`/ui/catalog/entries/{ref}`."""

    def __init__(self, pages: Pages, catalog: Catalog) -> None:
        self._pages = pages
        self._catalog = catalog

    def on_get(self, req: falcon.Request, resp: falcon.Response, ref: str) -> None:
        """The page, its form filled with what is stored."""
        entry = self._catalog.entry(ref)
        self._page(req, resp, entry, entered=catalog_form.entered_of(entry))

    def on_post(self, req: falcon.Request, resp: falcon.Response, ref: str) -> None:
        """303 when saved; 422 or 409 with the page, as it was entered, when it cannot be."""
        entry = self._catalog.entry(ref)
        entered = catalog_form.entered_in(form_of(req))
        problems = entered.problems()
        if problems:
            self._page(req, resp, entry, entered=entered, problems=problems, status=422)
            return
        try:
            self._catalog.edit(
                ref, entered.wanted(), expected=entered.expected, ip=req.context.client_ip
            )
        except ConflictError as error:
            field, _, why = error.message.partition(": ")
            if field not in FIELDS:
                raise
            entry = self._catalog.entry(ref)
            entered = entered.upon(entry)
            self._page(req, resp, entry, entered=entered, problems={field: why}, status=409)
            return
        see_other(resp, f"/ui/catalog/entries/{ref}?saved=1")

    def _page(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        entry: CatalogEntry,
        *,
        entered: Entered,
        problems: dict[str, str] | None = None,
        status: int = 200,
    ) -> None:
        values: dict[str, object] = {
            **_known(self._catalog, entry),
            "entered": entered,
            "problems": problems or {},
            "is_rolling": is_rolling(entry),
            "saved": req.method == "GET" and bool(req.get_param("saved")),
        }
        self._pages.render(req, resp, Answer("catalog_entry.html", values, status))


class EntryDelete:
    """`/ui/catalog/entries/{ref}/delete`."""

    def __init__(self, pages: Pages, catalog: Catalog) -> None:
        self._pages = pages
        self._catalog = catalog

    def on_get(self, req: falcon.Request, resp: falcon.Response, ref: str) -> None:
        """Show what is lost, or which machines need it, and ask."""
        self._page(req, resp, ref, 200)

    def on_post(self, req: falcon.Request, resp: falcon.Response, ref: str) -> None:
        """Remove it; 303 to the catalog, or 409 with the machines that are bound to it."""
        try:
            entry = self._catalog.remove(ref, ip=req.context.client_ip)
        except ConflictError:
            self._page(req, resp, ref, 409)
            return
        see_other(resp, f"/ui/catalog?{urlencode({'deleted': entry.name}, errors='replace')}")

    def _page(self, req: falcon.Request, resp: falcon.Response, ref: str, status: int) -> None:
        values = _known(self._catalog, self._catalog.entry(ref))
        self._pages.render(req, resp, Answer("catalog_delete.html", values, status))


def _known(catalog: Catalog, entry: CatalogEntry) -> dict[str, object]:
    count, macs = catalog.bound_to(entry.bty_image_ref)
    return {
        "entry": entry,
        "src": without_credentials(entry.src),
        "sha_url": without_credentials(entry.sha_url or ""),
        "machines": macs,
        "bound": count,
    }

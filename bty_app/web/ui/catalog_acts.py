"""The buttons beside images: check, check all, warm."""

from __future__ import annotations

import falcon

from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.catalog_events import plain
from bty_app.errors import NotFoundError, ValidationError
from bty_app.services.catalog import Catalog
from bty_app.services.catalog_checks import CatalogChecks
from bty_app.services.catalog_jobs import ALL_KEY, CHECK, WARM, CatalogJobs
from bty_app.web.forms import form_of
from bty_app.web.pages import see_other, way_back

HOME = "/ui/catalog"


class CatalogCheck:
    """`/ui/catalog/entries/check` (CONTRACT 3.9)."""

    def __init__(self, catalog: Catalog, checks: CatalogChecks, jobs: CatalogJobs) -> None:
        self._catalog = catalog
        self._checks = checks
        self._jobs = jobs

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Ask the origin of `src`: a script gets the report, a page a job and goes back."""
        entry = entry_in(req, self._catalog)
        if "text/html" not in (req.get_header("Accept") or ""):
            resp.media = self._checks.check(entry).report()
            return
        if not self._jobs.is_active(CHECK, entry.bty_image_ref):
            self._jobs.check(entry)
        go_back(req, resp)


class CatalogCheckAll:
    """`/ui/catalog/check`."""

    def __init__(self, jobs: CatalogJobs) -> None:
        self._jobs = jobs

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Ask the origin of every image, as a job; 303 to the page that asked."""
        if not self._jobs.is_active(CHECK, ALL_KEY):
            self._jobs.check_all()
        go_back(req, resp)


class CatalogWarm:
    """`/ui/catalog/entries/warm`."""

    def __init__(self, catalog: Catalog, jobs: CatalogJobs) -> None:
        self._catalog = catalog
        self._jobs = jobs

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Have the cache fetch `src` as a job, anew with `?force=1`; 303 to the page that asked."""
        _warm(req, self._jobs, entry_in(req, self._catalog))
        go_back(req, resp)


class ImagePrewarm:
    """`/ui/images/{ref}/prewarm`: the original's form (CONTRACT 3.9)."""

    def __init__(self, catalog: Catalog, jobs: CatalogJobs) -> None:
        self._catalog = catalog
        self._jobs = jobs

    def on_post(self, req: falcon.Request, resp: falcon.Response, ref: str) -> None:
        """Have the cache fetch the image as a job; 303 to the page that asked."""
        _warm(req, self._jobs, _entry_of(ref, self._catalog))
        go_back(req, resp)


def _warm(req: falcon.Request, jobs: CatalogJobs, entry: CatalogEntry) -> None:
    if not jobs.is_active(WARM, entry.bty_image_ref):
        jobs.warm(entry, force=req.get_param("force") == "1")


def entry_in(req: falcon.Request, catalog: Catalog) -> CatalogEntry:
    """The image that the field `src` names, by its source or its ref.

    Raises:
        ValidationError: the field is missing.
        NotFoundError: it is not in the catalog.
    """
    src = form_of(req).text("src")
    if not src:
        raise ValidationError("src: the field is missing")
    return _entry_of(src, catalog)


def _entry_of(src: str, catalog: Catalog) -> CatalogEntry:
    found = (e for e in catalog.published().entries if src in (e.bty_image_ref, e.src))
    entry = next(found, None)
    if entry is None:
        raise NotFoundError(f"no catalog entry for {plain(src)}")
    return entry


def go_back(req: falcon.Request, resp: falcon.Response) -> None:
    """To the page that asked."""
    see_other(resp, way_back(form_of(req).text("return_to"), HOME))

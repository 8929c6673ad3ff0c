"""Images come into the catalog: one by its URL, or those of a file that is uploaded."""

from __future__ import annotations

from urllib.parse import urlencode

import falcon

from bty_app.domain.catalog_toml import MAX_UPLOAD_BYTES
from bty_app.domain.image_source import is_registry
from bty_app.errors import BtyError, StorageError
from bty_app.services.catalog import Catalog
from bty_app.services.catalog_imports import CatalogImports
from bty_app.web import forms
from bty_app.web.errors import status_of
from bty_app.web.forms import form_of
from bty_app.web.pages import see_other
from bty_app.web.ui.catalog import CatalogView
from bty_app.web.ui.catalog_query import CatalogQuery

_FIELDS = ("image_url", "sha_url")


class CatalogAdd:
    """`/ui/catalog/entries`."""

    def __init__(self, view: CatalogView, catalog: Catalog) -> None:
        self._view = view
        self._catalog = catalog

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """303 to the catalog."""
        see_other(resp, "/ui/catalog")

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Add `image_url`, its digest from `sha_url`: 303; else the page as it was entered."""
        form = form_of(req)
        entered = {name: (form.text(name) or "").strip() for name in _FIELDS}
        try:
            entry = self._catalog.add(
                entered["image_url"],
                sha_url=entered["sha_url"] or None,
                ref=None,
                ip=req.context.client_ip,
            )
        except StorageError:
            raise
        except BtyError as error:
            self._view.render(
                req,
                resp,
                CatalogQuery(),
                status=_status(error),
                entered=entered,
                problems=_problems(error, entered),
            )
            return
        see_other(resp, f"/ui/catalog?{urlencode({'added': entry.name}, errors='replace')}")


class CatalogUpload:
    """`/ui/catalog/upload`."""

    max_form_bytes = MAX_UPLOAD_BYTES + forms.MAX_BYTES

    def __init__(self, view: CatalogView, imports: CatalogImports) -> None:
        self._view = view
        self._imports = imports

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """303 to the catalog."""
        see_other(resp, "/ui/catalog")

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Take in the catalog.toml in the field `file`: 303; else the page with what is wrong."""
        upload = form_of(req).file("file")
        if upload is None:
            self._refuse(req, resp, 422, "choose a file")
            return
        try:
            name = f"upload of {upload.filename}"
            done = self._imports.import_bytes(upload.data, name=name, ip=req.context.client_ip)
        except StorageError:
            raise
        except BtyError as error:
            self._refuse(req, resp, _status(error), error.message)
            return
        merge = done.merge
        same = merge.kept + len(merge.repeated)
        said = f"{len(merge.added)} new, {len(merge.updated)} changed, {same} unchanged"
        see_other(resp, f"/ui/catalog?{urlencode({'uploaded': said})}")

    def _refuse(self, req: falcon.Request, resp: falcon.Response, status: int, why: str) -> None:
        self._view.render(req, resp, CatalogQuery(), status=status, problems={"file": why})


def _status(error: BtyError) -> int:
    """As in the API, what another host does not give is 400: our own page is there."""
    status = status_of(error)
    return status if status in {409, 413, 422} else 400


def _problems(error: BtyError, entered: dict[str, str]) -> dict[str, str]:
    """The sentence beside the field that it is about."""
    field, _, why = error.message.partition(": ")
    if field in _FIELDS:
        return {field: why}
    # A URL that does not answer is no failure, but for the one that must tell a digest.
    from_checksums = entered["sha_url"] and not is_registry(entered["image_url"])
    about = "sha_url" if from_checksums and status_of(error) != 409 else "image_url"
    return {about: error.message}

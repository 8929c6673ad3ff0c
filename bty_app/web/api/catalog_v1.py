"""The catalog, for operators' scripts: what only this program has (under /api/v1/catalog)."""

from __future__ import annotations

from dataclasses import dataclass

import falcon

from bty_app.domain import catalog_edit
from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.catalog_events import diff_report, import_report
from bty_app.domain.catalog_toml import MAX_UPLOAD_BYTES
from bty_app.errors import NotFoundError, TooLargeError, UnavailableError, ValidationError
from bty_app.services.catalog import Catalog
from bty_app.services.catalog_checks import CatalogChecks
from bty_app.services.catalog_imports import CatalogImports
from bty_app.services.catalog_jobs import CatalogJobs
from bty_app.services.catalog_upstream import CatalogUpstream
from bty_app.web import body
from bty_app.web.api.catalog import MAX_BODY_BYTES, not_loaded
from bty_app.web.api.jobs import as_json


@dataclass(frozen=True, slots=True)
class Behind:
    """The images, and the jobs about them."""

    catalog: Catalog
    jobs: CatalogJobs


class Upload:
    """The catalog as a whole."""

    def __init__(self, imports: CatalogImports) -> None:
        self._imports = imports

    def on_put(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Take in the catalog.toml in the body, at most 1 MiB; it becomes the catalog file."""
        data = body.read(req, MAX_UPLOAD_BYTES)
        done = self._imports.import_bytes(data, name="upload", ip=req.context.client_ip)
        resp.media = import_report(done.source, done.merge)


class Diff:
    """What following a catalog would change."""

    def __init__(self, upstream: CatalogUpstream) -> None:
        self._upstream = upstream

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """What a fetch would change, with the digest to expect; `source` names another one."""
        try:
            found = self._upstream.diff(req.get_param("source") or None)
        except (NotFoundError, TooLargeError, UnavailableError) as error:
            raise not_loaded(error) from error
        resp.media = diff_report(found)


class Fetch:
    """Following a catalog."""

    def __init__(self, upstream: CatalogUpstream) -> None:
        self._upstream = upstream

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Take the upstream catalog, and answer with what changed, or `{"unchanged": true}`."""
        given = _fields(req, texts=("source", "expected"), switches=("allow_shrink", "force"))
        try:
            taken = self._upstream.take(
                _text(given, "source"),
                ip=req.context.client_ip,
                expected=_text(given, "expected"),
                allow_shrink=given.get("allow_shrink") is True,
                force=given.get("force") is True,
            )
        except (NotFoundError, TooLargeError, UnavailableError) as error:
            raise not_loaded(error) from error
        resp.media = diff_report(taken) if taken else {"unchanged": True}


class Check:
    """Are images where the catalog says?"""

    def __init__(self, behind: Behind, checks: CatalogChecks) -> None:
        self._behind = behind
        self._checks = checks

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Ask the origin of `image`: the report; of all with `"all": true`: 202 with the job."""
        given = _fields(req, texts=("image",), switches=("all",))
        image, everything = _text(given, "image"), given.get("all") is True
        if everything == (image is not None):
            raise ValidationError('image: name an image to check, or give "all": true')
        if image is None:
            _submitted(resp, as_json(self._behind.jobs.check_all()))
            return
        resp.media = self._checks.check(self._behind.catalog.find(image)).report()


class Warm:
    """Images in the cache before a machine wants them."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Have the cache fetch `image`, anew with `"force": true`: 202 with the job."""
        given = _fields(req, texts=("image",), switches=("force",))
        image = _text(given, "image")
        if image is None:
            raise ValidationError("image: must be given")
        entry = self._behind.catalog.find(image)
        _submitted(resp, as_json(self._behind.jobs.warm(entry, force=given.get("force") is True)))


class Entry:
    """One image."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def on_get(self, _req: falcon.Request, resp: falcon.Response, ref: str) -> None:
        """The image with this ref, with all that is known of it."""
        resp.media = _as_json(self._catalog.entry(ref))

    def on_patch(self, req: falcon.Request, resp: falcon.Response, ref: str) -> None:
        """Change fields of it; `expected` has what each was; 409 when one is not that any more."""
        wanted = body.json_object(req, MAX_BODY_BYTES)
        expected = wanted.pop("expected", {})
        if not isinstance(expected, dict):
            raise ValidationError("expected: must be an object")
        ip = req.context.client_ip
        resp.media = _as_json(self._catalog.edit(ref, wanted, expected=expected, ip=ip))


def _fields(
    req: falcon.Request, *, texts: tuple[str, ...], switches: tuple[str, ...]
) -> dict[str, object]:
    """The known fields of a JSON body, which may be missing; null counts as not given."""
    given = {} if req.content_length in (None, 0) else body.json_object(req, MAX_BODY_BYTES)
    unknown = sorted(set(given) - {*texts, *switches})
    if unknown:
        raise ValidationError(f"unknown field {unknown[0][:80]!r}")
    for name, value in given.items():
        wanted: type[object] = str if name in texts else bool
        if value is not None and not isinstance(value, wanted):
            raise ValidationError(f"{name}: must be {'a string' if wanted is str else 'a boolean'}")
    return given


def _text(given: dict[str, object], name: str) -> str | None:
    return str(value) if (value := given.get(name)) else None


def _submitted(resp: falcon.Response, job: dict[str, object]) -> None:
    resp.status = 202
    resp.media = job


def _as_json(entry: CatalogEntry) -> dict[str, object]:
    return {
        "ref": entry.bty_image_ref,
        "src": entry.src,
        **catalog_edit.values_of(entry),
        "size_bytes": entry.size_bytes,
        "sha_url": entry.sha_url,
        "added_at": entry.added_at,
        "upstream": entry.upstream,
        "gone_at": entry.gone_at,
    }

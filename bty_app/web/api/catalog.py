"""The images, for machines (open) and for operators' scripts (CONTRACT 3.8, 8.6)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import falcon

from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.catalog_events import import_report
from bty_app.errors import (
    InvalidInputError,
    NotFoundError,
    StorageError,
    TooLargeError,
    UnavailableError,
    ValidationError,
)
from bty_app.services.catalog import Catalog, Published
from bty_app.services.catalog_imports import CatalogImports
from bty_app.web.api.values import BYTES, MAYBE_TEXT, MOMENT, REF, SHA256
from bty_app.web.operations import Answer, Body, Operation, answers, declared, nothing
from bty_app.web.records import Items, Keyed, Parameters, Record, record
from bty_app.web.shapes import Anything, Flag, Nullable, Shape, Text, Whole

TOML = "application/toml"
_ROW = (
    *("bty_image_ref", "src", "resolved_src", "disk_image_sha", "name", "sha_url"),
    *("format", "size_bytes", "description", "added_at"),
)
_ADDED = (
    *("src", "bty_image_ref", "disk_image_sha", "name", "sha_url"),
    *("format", "size_bytes", "added_at"),
)

_SIZE = Nullable(BYTES)
_FIELDS: dict[str, Shape] = {
    "bty_image_ref": REF,
    "src": Text("Where its bytes are from."),
    "resolved_src": MAYBE_TEXT,
    "disk_image_sha": Nullable(SHA256),
    "name": Text(),
    "sha_url": MAYBE_TEXT,
    "format": MAYBE_TEXT,
    "size_bytes": _SIZE,
    "description": MAYBE_TEXT,
    "added_at": MOMENT,
}
_IMAGE_SHAPE = record(
    "Image",
    name=Text(),
    format=Text(),
    size_bytes=BYTES,
    url=Text(),
    ref=REF,
    sha_short=Nullable(Text(pattern="[0-9a-f]{12}")),
    cached=Flag(),
    arch=MAYBE_TEXT,
)
NEW = Record(
    {
        "image_url": Text("http, https or oras."),
        "sha_url": Nullable(Text("A list that has its SHA-256.")),
        "ref": Nullable(Text("The ref that it must have.")),
    },
    "NewImage",
    optional=frozenset({"sha_url", "ref"}),
    example={
        "image_url": "https://example.com/debian.img.zst",
        "sha_url": "https://example.com/SHA256SUMS",
    },
)
_CHANGED: dict[str, Shape] = {"name": Text(), "src": Text(), "changed": Keyed(Anything())}
REPORT: dict[str, Shape] = {
    "source": Text(),
    "imported": Whole(),
    "skipped": Whole(),
    "errors": Items(record(name=Text(), error=Text())),
    "updated": Whole(),
    "changes": Items(Record(_CHANGED)),
}
IMPORTED = Record(REPORT, "CatalogImport")
_SRC = Text("The source or the ref.")
_SOURCE = Text("A path on the server, or an address: file, http, https or oras.")
_ADD = Operation(
    answers("It is added.", Record({name: _FIELDS[name] for name in _ADDED}, "AddedImage"), 201),
    body=Body(NEW),
    refuses=(409,),
)
_REMOVE = Operation(
    nothing("It is removed."),
    query=Parameters({"src": _SRC}, frozenset({"src"})),
    refuses=(404, 409),
)


class CatalogToml:
    """The catalog that live environments read."""

    open_to_all = True
    operations = declared(GET=Operation((Answer(200, "The catalog.", media=TOML),)))

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the entries that have a digest, as catalog.toml version 1; the source of an
        image whose bytes the cache has is the cache.
        """
        resp.content_type = TOML
        resp.data = self._catalog.published().toml

    on_head = on_get


class Images:
    """The images as a list, written once for each change of the catalog or the cache."""

    open_to_all = True
    operations = declared(GET=Operation(answers("The images.", Items(_IMAGE_SHAPE))))

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._written: tuple[Published, str] | None = None

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with all images in the order in which they were added."""
        published, written = self._catalog.published(), self._written
        if written is None or written[0] is not published:
            text = json.dumps([_image(entry, published) for entry in published.entries])
            written = self._written = (published, text)
        resp.content_type = falcon.MEDIA_JSON
        resp.text = written[1]

    on_head = on_get


class Entries:
    """The entries, for operators."""

    operations = declared(
        GET=Operation(answers("The images.", Items(Record(_FIELDS, "CatalogRow")))),
        POST=_ADD,
        DELETE=_REMOVE,
    )

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with all rows in the order in which they were added."""
        _answer(resp, _rows(self._catalog.entries(), _ROW))

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Add the image at a URL: 201; 409 when it is here; 400 without the digest asked for."""
        entry = added(self._catalog, _ADD.body_of(req), ip=req.context.client_ip)
        _answer(resp, next(iter(_rows([entry], _ADDED))))
        resp.status = 201

    def on_delete(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Remove the image with this `src`: 204; 409 while machines are bound to it."""
        self._catalog.remove(_parameter(req, "src"), ip=req.context.client_ip)
        resp.status = 204


class Import:
    """Taking in a catalog.toml from elsewhere."""

    operations = declared(
        POST=Operation(
            answers("What it did.", IMPORTED),
            query=Parameters({"source": _SOURCE}, frozenset({"source"})),
            refuses=(409, 413),
        )
    )

    def __init__(self, imports: CatalogImports) -> None:
        self._imports = imports

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Take in the manifest at `source`; 400 when it cannot be loaded or is not valid."""
        source = _parameter(req, "source")
        try:
            done = self._imports.import_from(source, ip=req.context.client_ip)
        except (NotFoundError, TooLargeError, UnavailableError) as error:
            raise not_loaded(error) from error
        _answer(resp, import_report(done.source, done.merge))


def added(catalog: Catalog, wanted: Mapping[str, Any], *, ip: str | None) -> CatalogEntry:
    """The image at the URL that is asked for, which is in the catalog now.

    Raises:
        As `Catalog.add`; what another host does not give is an `InvalidInputError`.
    """
    try:
        return catalog.add(
            wanted["image_url"],
            sha_url=wanted["sha_url"] or None,
            ref=wanted["ref"] or None,
            ip=ip,
        )
    except (NotFoundError, TooLargeError, UnavailableError) as error:
        raise not_loaded(error) from error


def not_loaded(
    error: NotFoundError | TooLargeError | UnavailableError,
) -> InvalidInputError | StorageError:
    """The contract has 400 for whatever another host or file does not give; its code stays."""
    if isinstance(error, StorageError):
        return error
    refused = InvalidInputError(error.message)
    refused.code = error.code
    return refused


def _parameter(req: falcon.Request, name: str) -> str:
    value = req.get_param(name)
    if not value:
        raise ValidationError(f"the query parameter {name!r} is missing")
    return value


def _image(entry: CatalogEntry, published: Published) -> dict[str, object]:
    return {
        "name": entry.name,
        "format": entry.format or "",
        "size_bytes": entry.size_bytes or 0,
        "url": entry.src,
        "ref": entry.bty_image_ref,
        "sha_short": entry.disk_image_sha[:12] if entry.disk_image_sha else None,
        "cached": entry.bty_image_ref in published.cached,
        "arch": entry.arch,
    }


def _rows(entries: Iterable[CatalogEntry], columns: Iterable[str]) -> list[dict[str, object]]:
    return [{column: getattr(entry, column) for column in columns} for entry in entries]


def _answer(resp: falcon.Response, value: object) -> None:
    resp.content_type = falcon.MEDIA_JSON
    resp.text = json.dumps(value)

"""The images of the catalog, for operators' scripts (under /api/v1/catalog)."""

from __future__ import annotations

import heapq

import falcon

from bty_app.domain import catalog_edit
from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.catalog_events import import_report
from bty_app.domain.catalog_toml import MAX_UPLOAD_BYTES
from bty_app.errors import NotFoundError, TooLargeError, UnavailableError, ValidationError
from bty_app.services.catalog import Catalog
from bty_app.services.catalog_imports import CatalogImports
from bty_app.web import body
from bty_app.web.api.catalog import IMPORTED, NEW, TOML, added, not_loaded
from bty_app.web.api.paging import LINK, NEXT, PAGING, USUAL_LIMIT, next_address, place_in
from bty_app.web.api.values import BYTES, MAYBE_MOMENT, MAYBE_TEXT, MOMENT, REF, SHA256
from bty_app.web.operations import Body, Operation, answers, declared
from bty_app.web.records import Items, Keyed, Record, parameters, record
from bty_app.web.shapes import Anything, Flag, Nullable, Shape, Text
from bty_app.web.uploads import MAX_NAME, sent_name

_PLACE = "catalog"

ENTRY = record(
    "CatalogEntry",
    ref=REF,
    src=Text("Where its bytes are from."),
    resolved_src=Nullable(Text("Where a registry has them.")),
    name=Text(),
    description=MAYBE_TEXT,
    sha256=Nullable(SHA256),
    format=MAYBE_TEXT,
    arch=MAYBE_TEXT,
    mirrors=Items(Text("Where else they are.")),
    size_bytes=Nullable(BYTES),
    sha_url=MAYBE_TEXT,
    added_at=MOMENT,
    upstream=Nullable(Text("The catalog that it is of.")),
    gone_at=MAYBE_MOMENT,
)
_LIST = Operation(
    answers("A part of the list.", record(images=Items(ENTRY), next=NEXT), Link=LINK),
    query=parameters(**PAGING),
)
_UPLOAD = Operation(
    answers("What it did.", IMPORTED),
    query=parameters(
        name=Text("Where it says it came from.", most=MAX_NAME),
        keep=Flag("Whether it becomes the catalog file; it does without."),
    ),
    body=Body(media=TOML, most_bytes=MAX_UPLOAD_BYTES),
    refuses=(409,),
)
_IMPORT = Operation(
    answers("What it did.", IMPORTED),
    body=Body(
        Record(
            {
                "source": Text("A path on the server, or an address: file, http, https or oras."),
                "keep": Nullable(Flag("It becomes the catalog file.")),
            },
            optional=frozenset({"keep"}),
        )
    ),
    refuses=(409, 413),
)
_ADD = Operation(answers("It is added.", ENTRY, 201), body=Body(NEW), refuses=(409,))
# Each field by the rule that it has in a catalog.toml.
_EDITED: dict[str, Shape] = {
    "name": MAYBE_TEXT,
    "description": MAYBE_TEXT,
    "sha256": MAYBE_TEXT,
    "format": MAYBE_TEXT,
    "arch": MAYBE_TEXT,
    "mirrors": Nullable(Items(Text())),
    "expected": Keyed(Anything("What the field is now.")),
}
_EDIT = Operation(
    answers("The image.", ENTRY),
    body=Body(
        Record(
            _EDITED,
            "CatalogEdit",
            optional=frozenset(_EDITED),
            example={"description": "Debian 13", "expected": {"description": None}},
        ),
        parse=dict,  # as the domain has it: null is not the same as left out
    ),
    refuses=(409,),
)


class Images:
    """The catalog as a whole."""

    operations = declared(GET=_LIST, PUT=_UPLOAD)

    def __init__(self, catalog: Catalog, imports: CatalogImports) -> None:
        self._catalog = catalog
        self._imports = imports

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The images, part by part, in the order of their refs."""
        asked = _LIST.query_of(req)
        limit, after = asked["limit"] or USUAL_LIMIT, place_in(asked["cursor"], _PLACE)
        left = (entry for entry in self._catalog.entries() if entry.bty_image_ref > after)
        found = heapq.nsmallest(limit, left, key=lambda entry: entry.bty_image_ref)
        more = found[-1].bty_image_ref if len(found) == limit else None
        resp.media = {
            "images": [entry_json(entry) for entry in found],
            "next": next_address(req, resp, _PLACE, more),
        }

    def on_put(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Take in the catalog.toml in the body, at most 1 MiB; it becomes the catalog file, unless
        `keep=0`.
        """
        asked = _UPLOAD.query_of(req)
        data = body.read(req, MAX_UPLOAD_BYTES)
        name, keep = sent_name(asked["name"] or "upload"), asked["keep"] is not False
        done = self._imports.import_bytes(data, name=name, ip=req.context.client_ip, keep=keep)
        resp.media = import_report(done.source, done.merge)


class Import:
    """Taking in a catalog.toml from elsewhere."""

    operations = declared(POST=_IMPORT)

    def __init__(self, imports: CatalogImports) -> None:
        self._imports = imports

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Take in the manifest at `source`, which with `"keep": true` becomes the catalog file."""
        given = _IMPORT.body_of(req)
        keep, ip = given["keep"] is True, req.context.client_ip
        try:
            done = self._imports.import_from(given["source"], ip=ip, keep=keep)
        except (NotFoundError, TooLargeError, UnavailableError) as error:
            raise not_loaded(error) from error
        resp.media = import_report(done.source, done.merge)


class Entries:
    """What is added."""

    operations = declared(POST=_ADD)

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Add the image at a URL: 201; 409 when it is here; 400 without the digest asked for."""
        entry = added(self._catalog, _ADD.body_of(req), ip=req.context.client_ip)
        resp.status = 201
        resp.media = entry_json(entry)


class Entry:
    """One image."""

    operations = declared(
        GET=Operation(answers("The image.", ENTRY)),
        PATCH=_EDIT,
        DELETE=Operation(answers("What it was.", ENTRY), refuses=(409, 422)),
    )

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def on_get(self, _req: falcon.Request, resp: falcon.Response, ref: str) -> None:
        """The image with this ref, with all that is known of it."""
        resp.media = entry_json(self._catalog.entry(ref))

    def on_patch(self, req: falcon.Request, resp: falcon.Response, ref: str) -> None:
        """Change fields of it; `expected` has what each was; 409 when one is not that any more."""
        wanted = _EDIT.body_of(req)
        expected = wanted.pop("expected", {})
        if not isinstance(expected, dict):
            raise ValidationError("expected: must be an object")
        ip = req.context.client_ip
        resp.media = entry_json(self._catalog.edit(ref, wanted, expected=expected, ip=ip))

    def on_delete(self, req: falcon.Request, resp: falcon.Response, ref: str) -> None:
        """Remove the image; answers with what it was. 409 while machines are bound to it."""
        resp.media = entry_json(self._catalog.remove(ref, ip=req.context.client_ip))


def entry_json(entry: CatalogEntry) -> dict[str, object]:
    """An image as plain data."""
    return {
        "ref": entry.bty_image_ref,
        "src": entry.src,
        "resolved_src": entry.resolved_src,
        **catalog_edit.values_of(entry),
        "size_bytes": entry.size_bytes,
        "sha_url": entry.sha_url,
        "added_at": entry.added_at,
        "upstream": entry.upstream,
        "gone_at": entry.gone_at,
    }

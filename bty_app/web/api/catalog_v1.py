"""The catalog, for operators' scripts: what only this program has (under /api/v1/catalog)."""

from __future__ import annotations

from dataclasses import dataclass

import falcon

from bty_app.domain.catalog_events import diff_report
from bty_app.errors import NotFoundError, TooLargeError, UnavailableError, ValidationError
from bty_app.services.catalog import Catalog
from bty_app.services.catalog_checks import CatalogChecks
from bty_app.services.catalog_jobs import CatalogJobs
from bty_app.services.catalog_upstream import CatalogUpstream
from bty_app.web.api.catalog import REPORT, not_loaded
from bty_app.web.api.jobs import JOB, as_json
from bty_app.web.api.values import BYTES, MAC, MAYBE_TEXT, MOMENT, SHA256
from bty_app.web.operations import Answer, Body, Operation, answers, declared
from bty_app.web.records import Either, Items, Keyed, Record, options, parameters, record
from bty_app.web.shapes import Anything, Flag, Nullable, Text, Whole

_IMAGE = Text("By ref, source or name.", least=1)

_DIFF = Record(
    {
        **REPORT,
        "digest": SHA256,
        "shrinks": Flag("More than half would go."),
        "added": Items(Text()),
        "removed": Items(Text()),
        "kept": Items(record(name=Text(), machines=Whole(), macs=Items(MAC))),
        "returned": Items(Text()),
    },
    "CatalogDiff",
)
_REPORT = record(
    "OriginReport",
    name=Text(),
    src=Text(),
    origin=Record(
        {
            "reachable": Flag(),
            "size_bytes": Nullable(BYTES),
            "format": MAYBE_TEXT,
            "sha256": Nullable(SHA256),
            "error": Text(),
        },
        optional=frozenset({"size_bytes", "format", "sha256", "error"}),
    ),
    differs=Keyed(Record({"old": Anything(), "new": Anything()})),
    checked_at=MOMENT,
)
_COMPARE = Operation(
    answers("What it would change.", _DIFF), query=parameters(source=Text("Another catalog."))
)
_FETCH = Operation(
    answers("What it changed.", Either((_DIFF, Record({"unchanged": Flag()})))),
    body=Body(
        options(
            source=Nullable(Text("Another catalog than the one that is set.")),
            expected=Nullable(Text("The digest that was shown.")),
            allow_shrink=Nullable(Flag("Although more than half would go.")),
            force=Nullable(Flag("Although it is the one that was taken last.")),
        ),
        optional=True,
    ),
    refuses=(409,),
)
_CHECK = Operation(
    (
        Answer(200, "What the origin says.", _REPORT),
        Answer(202, "The job that asks for all.", JOB),
    ),
    body=Body(options(image=Nullable(_IMAGE), all=Nullable(Flag("Of all images.")))),
    refuses=(404, 409),
)
_WARM = Operation(
    answers("The job.", JOB, 202),
    body=Body(
        Record(
            {"image": _IMAGE, "force": Nullable(Flag("Although it is there."))},
            optional=frozenset({"force"}),
        )
    ),
    refuses=(404, 409),
)


@dataclass(frozen=True, slots=True)
class Behind:
    """The images, and the jobs about them."""

    catalog: Catalog
    jobs: CatalogJobs


class Diff:
    """What following a catalog would change."""

    operations = declared(GET=_COMPARE)

    def __init__(self, upstream: CatalogUpstream) -> None:
        self._upstream = upstream

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """What a fetch would change, with the digest to expect; `source` names another one."""
        try:
            found = self._upstream.diff(_COMPARE.query_of(req)["source"] or None)
        except (NotFoundError, TooLargeError, UnavailableError) as error:
            raise not_loaded(error) from error
        resp.media = diff_report(found)


class Fetch:
    """Following a catalog."""

    operations = declared(POST=_FETCH)

    def __init__(self, upstream: CatalogUpstream) -> None:
        self._upstream = upstream

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Take the upstream catalog, and answer with what changed, or `{"unchanged": true}`."""
        given = _FETCH.body_of(req)
        try:
            taken = self._upstream.take(
                given["source"] or None,
                ip=req.context.client_ip,
                expected=given["expected"] or None,
                allow_shrink=given["allow_shrink"] is True,
                force=given["force"] is True,
            )
        except (NotFoundError, TooLargeError, UnavailableError) as error:
            raise not_loaded(error) from error
        resp.media = diff_report(taken) if taken else {"unchanged": True}


class Check:
    """Are images where the catalog says?"""

    operations = declared(POST=_CHECK)

    def __init__(self, behind: Behind, checks: CatalogChecks) -> None:
        self._behind = behind
        self._checks = checks

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Ask the origin of `image`: the report; of all with `"all": true`: 202 with the job."""
        given = _CHECK.body_of(req)
        image, everything = given["image"], given["all"] is True
        if everything == (image is not None):
            raise ValidationError('image: name an image to check, or give "all": true')
        if image is None:
            _submitted(resp, as_json(self._behind.jobs.check_all()))
            return
        resp.media = self._checks.check(self._behind.catalog.find(image)).report()


class Warm:
    """Images in the cache before a machine wants them."""

    operations = declared(POST=_WARM)

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Have the cache fetch `image`, anew with `"force": true`: 202 with the job."""
        given = _WARM.body_of(req)
        entry = self._behind.catalog.find(given["image"])
        _submitted(resp, as_json(self._behind.jobs.warm(entry, force=given["force"] is True)))


def _submitted(resp: falcon.Response, job: dict[str, object]) -> None:
    resp.status = 202
    resp.media = job

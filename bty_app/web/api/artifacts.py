"""Netboot artifacts, for operators' scripts: the original's routes (CONTRACT 9), and ours."""

from __future__ import annotations

from typing import BinaryIO, cast

import falcon

from bty_app.domain.jobs import State
from bty_app.domain.release import TAG
from bty_app.services.artifact_fetches import Fetch
from bty_app.services.artifact_jobs import ArtifactJobs
from bty_app.web import body
from bty_app.web.api import jobs as jobs_api
from bty_app.web.api.values import BYTES, MAYBE_MOMENT, MAYBE_TEXT, MOMENT, SHA256
from bty_app.web.operations import BYTES as ANY_BYTES
from bty_app.web.operations import Body, Operation, answers, declared
from bty_app.web.records import Items, Keyed, options, parameters, record
from bty_app.web.shapes import Flag, Nullable, Shape, Text, Whole, words_of
from bty_app.web.uploads import MAX_NAME, sent_name

MAX_BODY_BYTES = 4096
MAX_PARALLEL = 1

_TAG_RULE = "letters, digits, and . _ - behind the first, at most 64"
_TAG = Nullable(
    Text(
        "The tag of a release; empty is as it is set.",
        pattern=f"(?:{TAG.pattern})?",
        rule=_TAG_RULE,
    )
)
_STATUS = Text(one_of=words_of(State))
_TIMES = {"started_at": MAYBE_MOMENT, "finished_at": MAYBE_MOMENT}
_FILE = record(
    name=Text(),
    status=_STATUS,
    bytes_done=BYTES,
    bytes_total=BYTES,
    error=MAYBE_TEXT,
    **_TIMES,
)
_FETCH = record(
    "Fetch",
    tag=Text(),
    status=_STATUS,
    bytes_done=BYTES,
    bytes_total=Nullable(BYTES),
    artifact=MAYBE_TEXT,
    **_TIMES,
    error=MAYBE_TEXT,
    base_url=MAYBE_TEXT,
    artifacts=Items(_FILE),
)
_FACTS = record(
    "SetFacts",
    version=Text(),
    live=Text("Its live environments, in words."),
    source=Text(),
    installed_at=MOMENT,
    signed_by=MAYBE_TEXT,
    digests=Keyed(SHA256),
    sizes=Keyed(BYTES),
)
_LIVE: dict[str, Shape] = {
    "version": Text(),
    "not_ready": Text("Why machines cannot boot it; empty when they can."),
    "differs": Text("Why it is of another version; empty when it is not."),
    "has_squashfs": Flag(),
}
_STATE = record(
    "Artifacts",
    live_environment=record(
        **_LIVE,
        arm64=Nullable(record(**_LIVE)),
    ),
    current=Nullable(Text("The id of the set that machines boot.")),
    previous=MAYBE_TEXT,
    sets=Items(record(id=Text(), facts=Nullable(_FACTS), damage=Items(Text()))),
    by_hand=Items(Text("A version.")),
    boot_programs=Items(record(name=Text(), use=Text(), place=MAYBE_TEXT)),
    source=Text("Where a fetch would go."),
    tag=Text("What it would fetch."),
)
_RELEASES = Operation(
    answers("The fetches.", record(boot_root=Text(), max_parallel=Whole(), fetches=Items(_FETCH)))
)
_FETCH_TAG = Operation(
    answers("The fetch.", _FETCH, 202), body=Body(options(tag=_TAG), MAX_BODY_BYTES), refuses=(409,)
)
_FETCH_FROM = Operation(
    answers("The job.", jobs_api.JOB, 202),
    body=Body(
        options(source=Nullable(Text("Where from; else as it is set.")), tag=_TAG), MAX_BODY_BYTES
    ),
    refuses=(409,),
)
_UPLOAD = Operation(
    answers(
        "It is installed.",
        record(
            id=Text(),
            version=Text(),
            live=Text("Its live environments, in words."),
            again=Flag("It was here."),
        ),
    ),
    query=parameters(name=Text("Where it says it came from.", most=MAX_NAME)),
    body=Body(media=ANY_BYTES, most_bytes=0),
    refuses=(409,),
)


class Releases:
    """`/boot/releases`: the fetches of the original."""

    operations = declared(GET=_RELEASES, POST=_FETCH_TAG)

    def __init__(self, artifacts: ArtifactJobs, boot_root: str) -> None:
        self._artifacts = artifacts
        self._boot_root = boot_root

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """The fetches that are known, and the sets on disk, by tag."""
        resp.media = {
            "boot_root": self._boot_root,
            "max_parallel": MAX_PARALLEL,
            "fetches": [_fetch(fetch) for fetch in self._artifacts.fetches()],
        }

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Fetch the release `{"tag"}`, also one that was fetched before: 202 with its state."""
        tag = _FETCH_TAG.body_of(req)["tag"]
        job = self._artifacts.fetch(tag=tag or None, ip=req.context.client_ip)
        found = next(fetch for fetch in self._artifacts.fetches() if fetch.tag == job.key)
        resp.media = _fetch(found)
        resp.status = 202


class ReleaseByTag:
    """`/boot/releases/{tag}`."""

    operations = declared(DELETE=Operation(answers("The fetch.", _FETCH), refuses=(422,)))

    def __init__(self, artifacts: ArtifactJobs) -> None:
        self._artifacts = artifacts

    def on_delete(self, _req: falcon.Request, resp: falcon.Response, tag: str) -> None:
        """Cancel the fetch, and answer with its state; one that has ended stays as it is."""
        resp.media = _fetch(self._artifacts.cancel(tag))


class Artifacts:
    """`/api/v1/artifacts`."""

    operations = declared(GET=Operation(answers("The state.", _STATE)), PUT=_UPLOAD)

    def __init__(self, artifacts: ArtifactJobs, *, max_upload_bytes: int) -> None:
        self._artifacts = artifacts
        self._max_upload_bytes = max_upload_bytes

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """What is installed, which of it machines boot, and what would be fetched."""
        resp.media = self._artifacts.state().as_json()

    def on_put(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Install the set in the tar archive that is the body, whole or not at all."""
        name = sent_name(_UPLOAD.query_of(req)["name"] or "an upload")
        body.check_length(req, self._max_upload_bytes)
        stream = cast("BinaryIO", req.bounded_stream)
        done = self._artifacts.upload(stream, name, ip=req.context.client_ip)
        facts = done.facts
        resp.media = {
            "id": done.set_id,
            "version": facts.version,
            "live": facts.live,
            "again": done.again,
        }


class ArtifactsFetch:
    """`/api/v1/artifacts/fetch`."""

    operations = declared(POST=_FETCH_FROM)

    def __init__(self, artifacts: ArtifactJobs) -> None:
        self._artifacts = artifacts

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Fetch `{"source", "tag"}`, both optional: 202 with the job."""
        wanted = _FETCH_FROM.body_of(req)
        job = self._artifacts.fetch(
            source=wanted["source"] or None, tag=wanted["tag"] or None, ip=req.context.client_ip
        )
        resp.media = jobs_api.as_json(job)
        resp.status = 202


class ArtifactsCheck:
    """`/api/v1/artifacts/check`."""

    operations = declared(POST=Operation(answers("The job.", jobs_api.JOB, 202), refuses=(409,)))

    def __init__(self, artifacts: ArtifactJobs) -> None:
        self._artifacts = artifacts

    def on_post(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Read every file of the installed sets: 202 with the job; its `data` has the damage."""
        resp.media = jobs_api.as_json(self._artifacts.check())
        resp.status = 202


class ArtifactsRollback:
    """`/api/v1/artifacts/rollback`."""

    operations = declared(
        POST=Operation(answers("It is done.", record(version=Text())), refuses=(404, 409))
    )

    def __init__(self, artifacts: ArtifactJobs) -> None:
        self._artifacts = artifacts

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Let machines boot the set before the current one; answer with its version."""
        resp.media = {"version": self._artifacts.roll_back(ip=req.context.client_ip)}


def _fetch(fetch: Fetch) -> dict[str, object]:
    """A fetch as the contract spells it."""
    times = {"started_at": fetch.started_at, "finished_at": fetch.finished_at}
    return {
        "tag": fetch.tag,
        "status": fetch.state.value,
        "bytes_done": fetch.done,
        "bytes_total": fetch.total,
        "artifact": fetch.artifact,
        **times,
        "error": fetch.error,
        "base_url": fetch.source,
        "artifacts": [
            {
                "name": name,
                "status": fetch.state.value,
                "bytes_done": size,
                "bytes_total": size,
                "error": None,
                **times,
            }
            for name, size in sorted(fetch.sizes.items())
        ],
    }

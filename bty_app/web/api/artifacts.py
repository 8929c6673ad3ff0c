"""Netboot artifacts, for operators' scripts: the original's routes (CONTRACT 9), and ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO, cast

import falcon

from bty_app.domain.release import check_tag
from bty_app.errors import ValidationError
from bty_app.services.artifact_fetches import Fetch
from bty_app.services.artifact_jobs import ArtifactJobs
from bty_app.web import body
from bty_app.web.api import jobs as jobs_api
from bty_app.web.uploads import sent_name

MAX_BODY_BYTES = 4096
MAX_PARALLEL = 1


class Releases:
    """`/boot/releases`: the fetches of the original."""

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
        wanted = _texts(req, "tag")["tag"]
        job = self._artifacts.fetch(tag=_tag(wanted), ip=req.context.client_ip)
        found = next(fetch for fetch in self._artifacts.fetches() if fetch.tag == job.key)
        resp.media = _fetch(found)
        resp.status = 202


class ReleaseByTag:
    """`/boot/releases/{tag}`."""

    def __init__(self, artifacts: ArtifactJobs) -> None:
        self._artifacts = artifacts

    def on_delete(self, _req: falcon.Request, resp: falcon.Response, tag: str) -> None:
        """Cancel the fetch, and answer with its state; one that has ended stays as it is."""
        resp.media = _fetch(self._artifacts.cancel(tag))


class Artifacts:
    """`/api/v1/artifacts`."""

    def __init__(self, artifacts: ArtifactJobs, *, max_upload_bytes: int) -> None:
        self._artifacts = artifacts
        self._max_upload_bytes = max_upload_bytes

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """What is installed, which of it machines boot, and what would be fetched."""
        resp.media = self._artifacts.state().as_json()

    def on_put(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Install the set in the tar archive that is the body, whole or not at all."""
        body.check_length(req, self._max_upload_bytes)
        name = sent_name(req.get_param("name") or "an upload")
        stream = cast("BinaryIO", req.bounded_stream)
        done = self._artifacts.upload(stream, name, ip=req.context.client_ip)
        resp.media = {"id": done.set_id, "version": done.facts.version, "again": done.again}


class ArtifactsFetch:
    """`/api/v1/artifacts/fetch`."""

    def __init__(self, artifacts: ArtifactJobs) -> None:
        self._artifacts = artifacts

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Fetch `{"source", "tag"}`, both optional: 202 with the job."""
        wanted = _texts(req, "source", "tag")
        job = self._artifacts.fetch(
            source=wanted["source"], tag=_tag(wanted["tag"]), ip=req.context.client_ip
        )
        resp.media = jobs_api.as_json(job)
        resp.status = 202


class ArtifactsRollback:
    """`/api/v1/artifacts/rollback`."""

    def __init__(self, artifacts: ArtifactJobs) -> None:
        self._artifacts = artifacts

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Let machines boot the set before the current one; answer with its version."""
        resp.media = {"version": self._artifacts.roll_back(ip=req.context.client_ip)}


def _texts(req: falcon.Request, *names: str) -> Mapping[str, str | None]:
    """The fields of the JSON body, which are texts."""
    fields = body.json_object(req, MAX_BODY_BYTES)
    unknown = sorted(set(fields) - set(names))
    if unknown:
        raise ValidationError(f"unknown field {unknown[0][:80]!r}")
    texts: dict[str, str | None] = {}
    for name in names:
        value = fields.get(name)
        if value is not None and not isinstance(value, str):
            raise ValidationError(f"{name}: must be a string")
        texts[name] = value or None
    return texts


def _tag(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return check_tag(text)
    except ValueError as error:
        raise ValidationError(f"tag: {text[:80]!r} must be {error}") from error


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

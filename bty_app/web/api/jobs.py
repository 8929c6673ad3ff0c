"""Jobs: what runs in the background, and the way to end it."""

from __future__ import annotations

import falcon

from bty_app.domain.jobs import Job
from bty_app.services.jobs import Jobs


class JobList:
    """All jobs that are known."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """`{"jobs": [...]}`, the newest first; `kind` names one kind."""
        resp.media = {"jobs": [as_json(job) for job in self._jobs.listed(req.get_param("kind"))]}


class JobById:
    """One job."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def on_get(self, _req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        """The job as it is now."""
        resp.media = as_json(self._jobs.get(job_id))

    def on_delete(self, _req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        """Cancel it, and answer with it; one that has ended stays as it is."""
        resp.media = as_json(self._jobs.cancel(job_id))


def as_json(job: Job) -> dict[str, object]:
    """A job as plain data. Times are seconds since 1970."""
    return {
        "id": job.id,
        "kind": job.kind,
        "key": job.key,
        "title": job.title,
        "status": job.state.value,
        "words": job.step.words,
        "bytes_done": job.step.done,
        "bytes_total": job.step.total,
        "rate": job.rate,
        "seconds_left": job.seconds_left,
        "made_at": job.made_at,
        "started_at": job.started_at,
        "ended_at": job.ended_at,
        "result": job.result or None,
        "error": job.error or None,
    }

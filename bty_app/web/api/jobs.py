"""Long work, for operators' scripts: what is under way, and its end before time."""

from __future__ import annotations

from dataclasses import asdict

import falcon

from bty_app.domain.jobs import Jobs, JobState
from bty_app.errors import NotFoundError


class JobList:
    """All jobs that are known."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Newest first; `?kind=` narrows it."""
        resp.media = [job_json(job) for job in self._jobs.listed(req.get_param("kind") or None)]


class JobById:
    """One job."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def on_get(self, _req: falcon.Request, resp: falcon.Response, job_id: int) -> None:
        """The job as it is now; 404 when it is not known (any more)."""
        found = next((job for job in self._jobs.listed() if job.id == job_id), None)
        if found is None:
            raise NotFoundError(f"there is no job {job_id}")
        resp.media = job_json(found)

    def on_delete(self, _req: falcon.Request, resp: falcon.Response, job_id: int) -> None:
        """Ask for its end; one that has ended stays as it is."""
        resp.media = job_json(self._jobs.cancel(job_id))


def job_json(job: JobState) -> dict[str, object]:
    """A job as JSON data."""
    return {**asdict(job), "status": job.status.value, "percent": job.percent}

"""Jobs: what runs in the background, and the way to end it."""

from __future__ import annotations

import falcon

from bty_app.domain.jobs import Job, State
from bty_app.services.jobs import Jobs
from bty_app.web.api.values import BYTES, MAYBE_TEXT
from bty_app.web.operations import Operation, answers, declared
from bty_app.web.records import Items, Keyed, parameters, record
from bty_app.web.shapes import Anything, Nullable, Number, Text, Whole, words_of

_SECONDS = Number("Seconds since 1970.")
JOB = record(
    "Job",
    id=Text(),
    kind=Text(),
    key=Text("What it is about: one of a kind runs for it at a time."),
    title=Text(),
    status=Text(one_of=words_of(State)),
    words=Text("What it does now."),
    bytes_done=BYTES,
    bytes_total=Nullable(BYTES),
    rate=Nullable(Whole("Bytes a second.", least=None)),
    seconds_left=Nullable(Whole()),
    made_at=_SECONDS,
    started_at=Nullable(_SECONDS),
    ended_at=Nullable(_SECONDS),
    result=MAYBE_TEXT,
    error=MAYBE_TEXT,
    code=Nullable(Text("The kind of failure, as in problem details.")),
    data=Nullable(Keyed(Anything(), "What came of it, for programs; some kinds have it.")),
)
_LIST = Operation(
    answers("The jobs that are kept in memory.", record(jobs=Items(JOB))),
    query=parameters(kind=Text("Only this kind.")),
)


class JobList:
    """All jobs that are known."""

    operations = declared(GET=_LIST)

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """`{"jobs": [...]}`, the newest first; `kind` names one kind."""
        kind = _LIST.query_of(req)["kind"]
        resp.media = {"jobs": [as_json(job) for job in self._jobs.listed(kind)]}


class JobById:
    """One job."""

    operations = declared(
        GET=Operation(answers("The job.", JOB)),
        DELETE=Operation(answers("The job.", JOB)),
    )

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
        "code": job.code or None,
        "data": dict(job.data) if job.data else None,
    }

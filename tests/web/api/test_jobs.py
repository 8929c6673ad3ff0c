"""Jobs over HTTP: seen and cancelled by operators alone."""

from __future__ import annotations

from bty_app.domain.jobs import Step, Teller
from tests.serving import Site


def fetch(teller: Teller) -> str:
    teller.tell(Step("fetching", 1024, 4096))
    return "all is here"


def test_a_job_is_shown_as_it_is_now(server: Site) -> None:
    job = server.services.jobs.submit("fetch", "v1", "fetch v1", fetch)
    before = server.operate("GET", f"/api/v1/jobs/{job.id}").json
    work = server.services.jobs.next()
    assert work is not None
    work()

    after = server.operate("GET", "/api/v1/jobs").json["jobs"]

    assert (before["status"], before["words"]) == ("queued", "waiting")
    assert len(after) == 1
    assert after[0] | {"result": "all is here", "bytes_done": 1024} == after[0]
    assert server.operate("GET", "/api/v1/jobs?kind=backup").json == {"jobs": []}


def test_a_job_is_cancelled_and_an_unknown_one_is_not_there(server: Site) -> None:
    job = server.services.jobs.submit("fetch", "v1", "fetch v1", fetch)

    cancelled = server.operate("DELETE", f"/api/v1/jobs/{job.id}")

    assert (cancelled.status_code, cancelled.json["status"]) == (200, "cancelled")
    assert server.operate("DELETE", "/api/v1/jobs/77").status_code == 404


def test_jobs_are_for_operators(server: Site) -> None:
    assert server.get("/api/v1/jobs").status_code == 401
    assert server.ask("DELETE", "/api/v1/jobs/1").status_code == 401

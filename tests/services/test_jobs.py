"""Jobs: one of a kind and key at a time, told, cancelled, ended; in the worker's threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.jobs import Job, State, Step, Teller
from bty_app.errors import CancelledError, ConflictError, NotFoundError, UnavailableError
from bty_app.services import jobs as module
from bty_app.services.jobs import Jobs
from bty_app.services.revisions import Revisions
from bty_app.workers.jobs import JobWorker
from tests.serving import Clock


def quick(_teller: Teller) -> str:
    return "done well"


def turn(jobs: Jobs) -> None:
    """Do the next job here."""
    work = jobs.next()
    assert work is not None
    work()


@contextmanager
def working(jobs: Jobs, threads: int) -> Iterator[None]:
    workers = [JobWorker(jobs, number) for number in range(threads)]
    running = [threading.Thread(target=worker.run) for worker in workers]
    for thread in running:
        thread.start()
    try:
        yield
    finally:
        for worker in workers:
            worker.stop()
        for thread in running:
            thread.join(10)
            assert not thread.is_alive()


def test_a_job_waits_runs_and_is_completed_with_its_sentence() -> None:
    jobs = Jobs(Revisions())

    waiting = jobs.submit("fetch", "v1", "fetch v1", quick)
    turn(jobs)
    ended = jobs.get(waiting.id)

    assert (waiting.state, waiting.is_active) == (State.QUEUED, True)
    assert (ended.state, ended.result, ended.is_active) == (State.COMPLETED, "done well", False)
    assert ended.ended_at is not None


def test_of_one_kind_and_key_there_is_one_at_a_time_and_a_new_one_after_it() -> None:
    jobs = Jobs(Revisions())
    first = jobs.submit("fetch", "v1", "fetch v1", quick)

    with pytest.raises(ConflictError, match="under way already: fetch v1"):
        jobs.submit("fetch", "v1", "fetch v1", quick)
    turn(jobs)
    second = jobs.submit("fetch", "v1", "fetch v1", quick)

    assert jobs.latest("fetch", "v1") == second
    assert [job.id for job in jobs.listed("fetch")] == [second.id, first.id]
    assert jobs.listed("backup") == []


def test_a_known_failure_is_its_sentence_and_an_unknown_one_is_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def known(_teller: Teller) -> str:
        raise UnavailableError("the mirror is away")

    def unknown(_teller: Teller) -> str:
        raise RuntimeError("secret detail")

    jobs = Jobs(Revisions())
    ids = [jobs.submit("fetch", str(n), "f", work).id for n, work in enumerate((known, unknown))]
    turn(jobs)
    turn(jobs)

    first, second = (jobs.get(job_id) for job_id in ids)
    assert (first.state, first.error) == (State.FAILED, "the mirror is away")
    assert second.state is State.FAILED
    assert "secret detail" not in second.error
    assert "secret detail" in caplog.text


def test_a_job_that_waits_is_cancelled_at_once_and_never_done() -> None:
    jobs = Jobs(Revisions())
    done = []

    def work(_teller: Teller) -> str:
        done.append(1)
        return ""

    waiting = jobs.submit("fetch", "v1", "fetch v1", work)
    jobs.submit("fetch", "v2", "fetch v2", quick)

    cancelled = jobs.cancel(waiting.id)
    turn(jobs)

    assert cancelled.state is State.CANCELLED
    assert done == []
    assert jobs.get(waiting.id).state is State.CANCELLED


def test_a_running_job_hears_of_its_cancellation_when_it_next_tells() -> None:
    def work(teller: Teller) -> str:
        teller.tell(Step("working", 1, 2))
        assert teller.is_wanted()
        jobs.cancel(jobs.listed()[0].id)
        assert not teller.is_wanted()
        teller.tell(Step("working", 2, 2))
        return "never"

    jobs = Jobs(Revisions())
    job = jobs.submit("fetch", "v1", "fetch v1", work)
    turn(jobs)

    assert jobs.get(job.id).state is State.CANCELLED
    assert jobs.get(job.id).step == Step("working", 1, 2)


def test_an_ended_job_stays_as_it_is_when_it_is_cancelled() -> None:
    jobs = Jobs(Revisions())
    job = jobs.submit("fetch", "v1", "fetch v1", quick)
    turn(jobs)

    assert jobs.cancel(job.id).state is State.COMPLETED
    with pytest.raises(NotFoundError, match="no job '99'"):
        jobs.cancel("99")


def test_news_is_a_revision_and_bytes_are_one_at_most_twice_a_second() -> None:
    clock, revisions = Clock(), Revisions()
    jobs = Jobs(revisions, clock)
    seen = []

    def work(teller: Teller) -> str:
        for done in range(10):
            teller.tell(Step("fetching", done, 10))
            seen.append(revisions.current("jobs"))
        clock.forward(1)
        teller.tell(Step("fetching", 10, 10))
        seen.append(revisions.current("jobs"))
        return ""

    jobs.submit("fetch", "v1", "fetch v1", work)
    turn(jobs)

    assert len(set(seen)) == 2


def test_the_rate_counts_what_came_and_not_what_was_there() -> None:
    clock = Clock()
    jobs = Jobs(Revisions(), clock)

    def work(teller: Teller) -> str:
        teller.tell(Step("fetching", 1000, 3000))
        clock.forward(10)
        teller.tell(Step("fetching", 2000, 3000))
        found.append(jobs.listed()[0])
        return ""

    found: list[Job] = []
    jobs.submit("fetch", "v1", "fetch v1", work)
    turn(jobs)

    assert (found[0].rate, found[0].percent, found[0].seconds_left) == (100, 66, 10)


@given(done=st.integers(-(2**70), 2**70), total=st.none() | st.integers(0, 2**70))
def test_a_percentage_is_one_whatever_is_told(done: int, total: int | None) -> None:
    job = Job("1", "k", "k", "t", State.RUNNING, Step("w", done, total), 0.0, 0.0, None, 0, 5.0)

    assert job.percent is None or 0 <= job.percent <= 100
    assert job.seconds_left is None or job.seconds_left >= 0


def test_only_so_many_wait_and_only_so_many_ended_ones_are_known() -> None:
    jobs = Jobs(Revisions())
    for number in range(module.MAX_WAITING):
        jobs.submit("fetch", str(number), "f", quick)

    with pytest.raises(ConflictError, match="too many"):
        jobs.submit("fetch", "more", "f", quick)
    for _ in range(module.MAX_WAITING):
        turn(jobs)
    jobs.submit("fetch", "more", "f", quick)

    assert len(jobs.listed()) == module.MAX_ENDED + 1


def test_kinds_run_side_by_side_and_of_one_kind_as_many_as_it_may() -> None:
    jobs = Jobs(Revisions(), at_once={"warm": 2})
    met = threading.Barrier(3)

    def meet(_teller: Teller) -> str:
        met.wait(10)
        return "met"

    running: list[int] = []
    most: list[int] = []

    def alone(_teller: Teller) -> str:
        running.append(1)
        most.append(len(running))
        running.pop()
        return ""

    for kind, key in (("warm", "a"), ("warm", "b"), ("fetch", "c")):
        jobs.submit(kind, key, "t", meet)
    for number in range(20):
        jobs.submit("backup", str(number), "t", alone)
    with working(jobs, 4):
        for job in jobs.listed():
            wait_for_end(jobs, job.id)

    assert {job.result for job in jobs.listed() if job.kind != "backup"} == {"met"}
    assert set(most) == {1}


def test_the_end_of_the_queue_ends_its_threads_and_what_they_do() -> None:
    jobs = Jobs(Revisions())
    began = threading.Event()

    def endless(teller: Teller) -> str:
        began.set()
        while True:
            teller.tell(Step("on and on"))

    running = jobs.submit("fetch", "a", "t", endless)
    waiting = jobs.submit("fetch", "b", "t", quick)
    with working(jobs, 1):
        assert began.wait(10)

    assert {jobs.get(job.id).state for job in (running, waiting)} == {State.CANCELLED}
    assert jobs.next() is None
    with pytest.raises(ConflictError):
        jobs.submit("fetch", "c", "t", quick)


def wait_for_end(jobs: Jobs, job_id: str) -> None:
    with jobs._changed:
        assert jobs._changed.wait_for(lambda: not jobs._entries[job_id].job.is_active, 10)


def test_a_cancellation_is_a_failure_that_can_be_named() -> None:
    assert CancelledError("it was cancelled").code == "cancelled"

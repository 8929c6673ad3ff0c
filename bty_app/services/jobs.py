"""Jobs: long work that is queued, done in the background, watched, and cancelled.

A job is known for as long as the server runs; what must last is in the audit log. Its work acts for
whoever asked for it: the script whose token the request came with is named in its events too.

Threads: any may call; `next` is for the threads that do the work.
"""

from __future__ import annotations

import contextvars
import itertools
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from bty_app.domain.jobs import Job, Outcome, State, Step, Teller
from bty_app.errors import BtyError, CancelledError, ConflictError, NotFoundError
from bty_app.services.clock import Clock, utc_now
from bty_app.services.revisions import Revisions

_log = logging.getLogger(__name__)

Work = Callable[[Teller], str | Outcome]  # a sentence about what came of it

MAX_WAITING = 200
MAX_ENDED = 50
TOLD_EVERY = 0.5  # seconds between two revisions that only say how far a job is
TOPIC = frozenset({"jobs"})
_NOTHING = Outcome("", {})


@dataclass(slots=True)
class _Entry:
    job: Job
    work: Work
    asked: contextvars.Context
    wanted: bool = True
    bumped_at: float = 0.0


class Jobs:
    """The queue."""

    def __init__(
        self,
        revisions: Revisions,
        clock: Clock = utc_now,
        *,
        at_once: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Of each kind `at_once` run at the same time, or one."""
        self._revisions = revisions
        self._clock = clock
        self._at_once = at_once
        self._changed = threading.Condition()
        self._numbers = itertools.count(1)
        self._entries: dict[str, _Entry] = {}
        self._closed = False

    def submit(self, kind: str, key: str, title: str, work: Work) -> Job:
        """Queue `work`; of one kind and key there is one job at a time.

        Raises:
            ConflictError: it is under way already, or too many wait.
        """
        with self._changed:
            active = [e.job for e in self._entries.values() if e.job.is_active]
            if any((job.kind, job.key) == (kind, key) for job in active):
                raise ConflictError(f"under way already: {title}")
            if self._closed or len(active) >= MAX_WAITING:
                raise ConflictError("too many jobs wait: try again later")
            job = Job(
                str(next(self._numbers)),
                *(kind, key, title),
                State.QUEUED,
                Step("waiting"),
                self._now(),
            )
            self._entries[job.id] = _Entry(job, work, contextvars.copy_context())
            self._forget_old()
            self._changed.notify_all()
        self._revisions.bump(TOPIC)
        return job

    def listed(self, kind: str | None = None) -> list[Job]:
        """All jobs that are known, the newest first."""
        with self._changed:
            found = [e.job for e in self._entries.values() if kind in (None, e.job.kind)]
        return found[::-1]

    def latest(self, kind: str, key: str) -> Job | None:
        """The newest job of this kind and key."""
        return next((job for job in self.listed(kind) if job.key == key), None)

    def get(self, job_id: str) -> Job:
        """One job.

        Raises:
            NotFoundError: there is none of this id.
        """
        with self._changed:
            return self._found(job_id).job

    def cancel(self, job_id: str) -> Job:
        """End a job: at once where it waits, soon where it runs; one that has ended stays.

        Raises:
            NotFoundError: there is none of this id.
        """
        with self._changed:
            entry = self._found(job_id)
            entry.wanted = False
            if entry.job.state is State.QUEUED:
                self._end(entry, State.CANCELLED)
            self._changed.notify_all()
            job = entry.job
        self._revisions.bump(TOPIC)
        return job

    def next(self) -> Callable[[], None] | None:
        """The next job as a call that does it, waited for; None once the queue is closed."""
        with self._changed:
            while not self._closed:
                entry = self._startable()
                if entry is not None:
                    now = self._now()
                    entry.job = replace(entry.job, state=State.RUNNING, started_at=now)
                    return lambda: self._do(entry)
                self._changed.wait()
            return None

    def close(self) -> None:
        """Take no more, and end what waits and runs."""
        with self._changed:
            self._closed = True
            for entry in self._entries.values():
                entry.wanted = False
                if entry.job.state is State.QUEUED:
                    self._end(entry, State.CANCELLED)
            self._changed.notify_all()

    # -- within the lock ---------------------------------------------------------------------

    def _startable(self) -> _Entry | None:
        running = [e.job.kind for e in self._entries.values() if e.job.state is State.RUNNING]
        for entry in self._entries.values():
            kind = entry.job.kind
            if entry.job.state is State.QUEUED and running.count(kind) < self._limit(kind):
                return entry
        return None

    def _limit(self, kind: str) -> int:
        return self._at_once.get(kind, 1)

    def _found(self, job_id: str) -> _Entry:
        entry = self._entries.get(job_id)
        if entry is None:
            raise NotFoundError(f"there is no job {job_id[:20]!r}")
        return entry

    def _end(
        self,
        entry: _Entry,
        state: State,
        done: Outcome = _NOTHING,
        *,
        error: str = "",
        code: str = "",
    ) -> None:
        told = {"result": done.sentence, "data": done.data or None, "error": error, "code": code}
        entry.job = replace(entry.job, state=state, ended_at=self._now(), **told)  # type: ignore[arg-type]
        self._changed.notify_all()

    def _forget_old(self) -> None:
        ended = [e.job.id for e in self._entries.values() if not e.job.is_active]
        for job_id in ended[: max(0, len(ended) - MAX_ENDED)]:
            del self._entries[job_id]

    # -- in the thread that does the work ------------------------------------------------------

    def _do(self, entry: _Entry) -> None:
        self._revisions.bump(TOPIC)
        state, done, error, code = State.COMPLETED, _NOTHING, "", ""
        try:
            found = entry.asked.run(entry.work, _Run(entry, self._told, self._waited))
            done = found if isinstance(found, Outcome) else Outcome(found, {})
        except CancelledError:
            state = State.CANCELLED
        except BtyError as failure:
            state, error, code = State.FAILED, failure.message, failure.code
        except Exception:  # noqa: BLE001 - a bug in one job ends that job alone
            _log.exception("the job failed: %s", entry.job.title)
            state, error = State.FAILED, "an unexpected failure: the log of the server has it"
        with self._changed:
            self._end(entry, state, done, error=error, code=code)
        self._revisions.bump(TOPIC)

    def _told(self, entry: _Entry, step: Step) -> None:
        now = self._now()
        with self._changed:
            if not entry.wanted:
                raise CancelledError("it was cancelled")
            first = entry.job.first_done
            if step.total is not None and first is None:
                first = step.done
            news = step.words != entry.job.step.words
            entry.job = replace(entry.job, step=step, told_at=now, first_done=first)
            news = news or now - entry.bumped_at >= TOLD_EVERY
            if news:
                entry.bumped_at = now
        if news:
            self._revisions.bump(TOPIC)

    def _waited(self, entry: _Entry, seconds: float) -> None:
        with self._changed:
            if self._changed.wait_for(lambda: not entry.wanted, seconds):
                raise CancelledError("it was cancelled")

    def _now(self) -> float:
        return self._clock().timestamp()


class _Run:
    """The teller of one job."""

    def __init__(
        self,
        entry: _Entry,
        told: Callable[[_Entry, Step], None],
        waited: Callable[[_Entry, float], None],
    ) -> None:
        self._entry = entry
        self._told = told
        self._waited = waited

    def tell(self, step: Step) -> None:
        self._told(self._entry, step)

    def is_wanted(self) -> bool:
        return self._entry.wanted

    def wait(self, seconds: float) -> None:
        self._waited(self._entry, seconds)

"""Long work that people start, watch and cancel: what is known of it, and how it reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from bty_app.errors import BtyError


class Status(StrEnum):
    """Where a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self not in {Status.QUEUED, Status.RUNNING}


class CancelledError(BtyError):
    """Somebody has cancelled the work; what it had begun was undone or can be resumed."""

    code = "cancelled"


@dataclass(frozen=True, slots=True)
class JobState:
    """A job as it is at one moment.

    `kind` and `key` say what it works on ("artifacts", "v0.91.0"); two jobs with the same pair
    never run at the same time. `step` is a short sentence for people. Byte counts are None where
    they are not known. Times are ISO, UTC.
    """

    id: int
    kind: str
    key: str
    title: str
    status: Status
    requested_at: str
    step: str = ""
    bytes_done: int | None = None
    bytes_total: int | None = None
    started_at: str | None = None
    finished_at: str | None = None
    error: str | None = None

    @property
    def percent(self) -> int | None:
        """How much of its bytes are done, 0 to 100, or None when that is not known."""
        if self.bytes_done is None or not self.bytes_total:
            return None
        return min(100, self.bytes_done * 100 // self.bytes_total)


class Progress(Protocol):
    """What work reports to, and where it learns that it is no longer wanted."""

    def report(
        self, step: str | None = None, *, done: int | None = None, total: int | None = None
    ) -> None:
        """Say what is being done. None leaves what was said before; cheap, call it often."""

    def check(self) -> None:
        """Go on only if the work is still wanted.

        Raises:
            CancelledError: it is not.
        """

    def wait(self, seconds: float) -> None:
        """Pause; wakes early when the work is cancelled.

        Raises:
            CancelledError: it is no longer wanted.
        """


Work = Callable[[Progress], None]


class Jobs(Protocol):
    """The queue of long work. Any thread may call."""

    def submit(self, kind: str, key: str, title: str, work: Work) -> JobState:
        """Run `work` as soon as there is a place for it.

        A job of this kind and key that has not ended is returned instead: the work is under way.

        Raises:
            ConflictError: the queue is full, or the server is stopping.
        """

    def listed(self, kind: str | None = None) -> tuple[JobState, ...]:
        """All jobs that are known, newest first: those under way and a bounded number ended."""

    def latest(self, kind: str, key: str) -> JobState | None:
        """The newest job of this kind and key."""

    def cancel(self, job_id: int) -> JobState:
        """Ask for the end of a job; one that has ended stays as it is.

        Raises:
            NotFoundError: there is no such job.
        """

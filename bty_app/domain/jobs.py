"""Long work in the background, as it is told: what it is, how far it is, how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class State(StrEnum):
    """Where a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Step:
    """What work is doing: `done` of `total` bytes, as far as it counts them."""

    words: str
    done: int = 0
    total: int | None = None


class Teller(Protocol):
    """Whom long work tells how far it is, and asks whether it is still wanted."""

    def tell(self, step: Step) -> None:
        """Take note of it.

        Raises:
            CancelledError: the work is to end here.
        """

    def is_wanted(self) -> bool:
        """Whether the work is to go on."""

    def wait(self, seconds: float) -> None:
        """Let time pass.

        Raises:
            CancelledError: the work is to end here.
        """


class Quiet:
    """A teller that nobody listens to."""

    def tell(self, _step: Step) -> None:
        """Nothing."""

    def is_wanted(self) -> bool:
        """Always."""
        return True

    def wait(self, _seconds: float) -> None:
        """Not at all: nothing that it is given to has anything to wait for."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of work: a sentence, and plain JSON data for programs."""

    sentence: str
    data: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Job:
    """A job at one moment. Times are seconds since 1970; `result` and `error` are sentences,
    `code` is that of the error (`errors.py`), `data` what came of it for programs.
    """

    id: str
    kind: str
    key: str
    title: str
    state: State
    step: Step
    made_at: float
    started_at: float | None = None
    ended_at: float | None = None
    first_done: int | None = None
    told_at: float | None = None
    result: str = ""
    error: str = ""
    code: str = ""
    data: Mapping[str, object] | None = None

    @property
    def is_active(self) -> bool:
        """Whether it waits or runs."""
        return self.state in {State.QUEUED, State.RUNNING}

    @property
    def percent(self) -> int | None:
        """How much of it is done, where that is known."""
        if not self.step.total:
            return None
        return max(0, min(100, self.step.done * 100 // self.step.total))

    @property
    def rate(self) -> int | None:
        """Bytes a second since it began to count; what was there before does not count."""
        if self.started_at is None or self.told_at is None or self.first_done is None:
            return None
        seconds = self.told_at - self.started_at
        return int((self.step.done - self.first_done) / seconds) if seconds >= 1 else None

    @property
    def seconds_left(self) -> int | None:
        """How long it will take at this rate."""
        rate = self.rate
        if not rate or rate < 0 or self.step.total is None or self.state is not State.RUNNING:
            return None
        return max(0, (self.step.total - self.step.done) // rate)

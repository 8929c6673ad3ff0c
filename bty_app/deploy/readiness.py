"""Waiting until bty is ready, and watching that it stays so; the clock is the caller's."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

from bty_app.deploy.stack import Condition, Stack
from bty_app.errors import BtyError

MOST_RESTARTS = 3  # one that finds the port or the database still in use tries again
ENDED_LOOKS = 3  # at first what is seen may still be of the one before
PATIENCE_SECONDS = 10.0  # one busy moment is no failure
LOOK_SECONDS = 1.0


class Pace(Protocol):
    """How time passes, in seconds."""

    def now(self) -> float:
        """Steady."""

    def wait(self, seconds: float) -> None:
        """Let them pass."""

    def moment(self) -> datetime:
        """By the calendar, in UTC: what outlives this program is measured by it."""


class RealPace:
    """The clock of this host."""

    def now(self) -> float:
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def moment(self) -> datetime:
        return datetime.now(UTC)


def wait_until_ready(stack: Stack, pace: Pace, limit: float) -> str:
    """Empty once it is ready; or why it is not, once it has ended or `limit` seconds are over."""
    until, ended = pace.now() + limit, 0
    while True:
        problem = _problem(stack)
        if not problem:
            return ""
        condition = _condition(stack)
        goes_on = condition.running and condition.restarts <= MOST_RESTARTS
        ended = 0 if goes_on else ended + 1
        if ended >= ENDED_LOOKS:
            if condition.running:
                return f"it ended {condition.restarts} times before it was ready"
            return f"it ended before it was ready ({problem})"
        if pace.now() >= until:
            return f"it was not ready within {limit:.0f} seconds ({problem})"
        pace.wait(LOOK_SECONDS)


def watch(stack: Stack, pace: Pace, seconds: float) -> str:
    """Empty when it was ready for so long and still is; or what happened instead."""
    begun = pace.now()
    first = _condition(stack)
    bad_since: float | None = None
    while pace.now() - begun < seconds or bad_since is not None:
        problem, condition = _problem(stack), _condition(stack)
        if not condition.running:
            return "it ended after it had been ready"
        if condition.restarts > first.restarts:
            return "it ended after it had been ready, and was started again"
        if not problem:
            bad_since = None
        elif bad_since is None:
            bad_since = pace.now()
        elif pace.now() - bad_since >= PATIENCE_SECONDS:
            return f"it had been ready, and is not any more ({problem})"
        pace.wait(LOOK_SECONDS)
    return ""


def _condition(stack: Stack) -> Condition:
    try:
        return stack.condition()
    except BtyError:  # nothing is known of it
        return Condition(running=True, restarts=0)


def _problem(stack: Stack) -> str:
    """Why it is not ready."""
    try:
        return stack.ready()
    except BtyError as error:
        return error.message

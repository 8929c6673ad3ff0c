"""Asking again and again while a server is away: pauses that grow, each with its reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from bty_app.errors import UnavailableError

T = TypeVar("T")

LONGEST_RETRY_AFTER = 300.0
GROWTH = 2.0


class Wait(Protocol):
    """Lets time pass, and tells the person at the console for what."""

    def __call__(self, seconds: float, why: str) -> None: ...


class AwayError(UnavailableError):
    """The server is not there, or not ready; it may say when to come back."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Patience:
    """Pauses from `first` to `most` seconds; `in_all` is what they may come to, None: for ever."""

    first: float = 1.0
    most: float = 30.0
    in_all: float | None = None


def insist(
    attempt: Callable[[], T], patience: Patience, wait: Wait, jitter: Callable[[], float]
) -> T:
    """What `attempt` returns, once it does; `jitter` gives numbers from 0 to 1.

    Raises:
        AwayError: the last one, when patience is at its end.
    """
    pause, waited = patience.first, 0.0
    while True:
        try:
            return attempt()
        except AwayError as error:
            # Machines that were switched on together do not come back together.
            seconds = pause * (0.5 + jitter())
            if error.retry_after is not None:
                asked = min(max(error.retry_after, 0.0), LONGEST_RETRY_AFTER)
                seconds = max(seconds, asked * (1 + jitter() / 4))
            if patience.in_all is not None and waited + seconds > patience.in_all:
                raise
            wait(seconds, error.message)
            waited += seconds
            pause = min(pause * GROWTH, patience.most)

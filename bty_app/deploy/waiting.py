"""Waiting for a server that was just started."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from bty_app.deploy.programs import last_lines
from bty_app.deploy.stack import Condition, Stack
from bty_app.errors import UnavailableError

READY_SECONDS = 180.0
PAUSE_SECONDS = 0.5
DOWN_SECONDS = 10.0
RESTARTS = 4


@dataclass(frozen=True, slots=True)
class Clock:
    """What passes, in seconds."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def until_ready(
    stack: Stack, *, seconds: float = READY_SECONDS, clock: Clock | None = None
) -> None:
    """Wait until `/readyz` says yes for the installed release.

    Raises:
        UnavailableError: it did not in that time, or does not stay up; with its last lines.
    """
    clock = clock or Clock()
    began = up = clock.now()
    while (said := stack.ready()) != "":
        found, now = stack.condition(), clock.now()
        up = now if found.running else up
        if found.restarts >= RESTARTS:
            raise _failed(f"bty starts again and again ({found.restarts} times)", found)
        if now - up > DOWN_SECONDS:
            raise _failed("bty does not run", found)
        if now - began > seconds:
            raise _failed(f"bty is not ready after {seconds:.0f} s: {said}", found)
        clock.sleep(PAUSE_SECONDS)


def _failed(what: str, found: Condition) -> UnavailableError:
    return UnavailableError(f"{what}; its last lines: {last_lines(found.said)}")

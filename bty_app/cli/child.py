"""A command as the child of a server: how far it is, as lines of JSON, at a low priority.

The server reads the lines. It ends the work by closing the standard input, and so does its own end.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from collections.abc import Callable

from bty_app.domain.jobs import Step
from bty_app.errors import BtyError, CancelledError
from bty_app.store import acting

EVERY_SECONDS = 0.2
NICENESS = 10


class Parent:
    """The teller of a child."""

    def __init__(self) -> None:
        self._words = ""
        self._told_at = float("-inf")

    def tell(self, step: Step) -> None:
        """Write it as a line, unless that was done just now.

        Raises:
            CancelledError: the server does not want it any more, or is gone.
        """
        if not self.is_wanted():
            raise CancelledError("it was cancelled")
        now = time.monotonic()
        if step.words == self._words and now - self._told_at < EVERY_SECONDS:
            return
        self._words, self._told_at = step.words, now
        say({"words": step.words, "done": step.done, "total": step.total})

    def is_wanted(self) -> bool:
        """Whether the standard input is open: nothing is ever sent over it."""
        readable, _, _ = select.select([sys.stdin.fileno()], [], [], 0)
        return not readable

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)


def as_child(work: Callable[[Parent], dict[str, object]]) -> int:
    """Do it at a low priority; its outcome is the last line, and the exit status says the same."""
    os.nice(NICENESS)
    acting.as_child(os.environ)
    try:
        say({"result": work(Parent())})
    except BtyError as error:
        say({"error": {"code": error.code, "message": error.message}})
        return 1
    return 0


def say(line: dict[str, object]) -> None:
    """One line of JSON."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()

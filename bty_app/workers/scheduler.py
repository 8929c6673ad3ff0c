"""Looks at regular intervals whether there is something to do.

Threads: one, of the name that it is given, runs every task, one after the other.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

from bty_app import logs
from bty_app.errors import BtyError

_log = logging.getLogger(__name__)


class Scheduler:
    """Runs each task every `seconds`; one that fails is tried again at the next turn."""

    def __init__(
        self,
        tasks: Mapping[str, Callable[[], object]],
        *,
        seconds: float,
        name: str = "scheduler",
    ) -> None:
        self.name = name
        self._tasks = dict(tasks)
        self._seconds = seconds
        self._bell = threading.Event()
        self._stopping = False

    def run(self) -> None:
        """Take turns until `stop()`."""
        while True:
            self._bell.wait(self._seconds)
            self._bell.clear()
            if self._stopping:
                return
            self.turn()

    def turn(self) -> None:
        """Run every task once."""
        for name, task in self._tasks.items():
            try:
                task()
            except BtyError as error:
                logs.event(_log, logging.WARNING, "task", task=name, error=error.message)

    def wake(self) -> None:
        """Take the next turn at once. Any thread may call."""
        self._bell.set()

    def stop(self) -> None:
        """End after the task under way."""
        self._stopping = True
        self._bell.set()

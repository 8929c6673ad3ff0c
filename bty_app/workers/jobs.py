"""Does the jobs of a queue.

Threads: `jobs-N`, each with one job at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Queue(Protocol):
    """Where the work comes from."""

    def next(self) -> Callable[[], None] | None: ...

    def close(self) -> None: ...


class JobWorker:
    """One thread's worth of work."""

    def __init__(self, queue: Queue, number: int) -> None:
        self.name = f"jobs-{number}"
        self._queue = queue

    def run(self) -> None:
        """Work until the queue is closed."""
        while (work := self._queue.next()) is not None:
            work()

    def stop(self) -> None:
        """Close the queue; the work under way is told that it is not wanted any more."""
        self._queue.close()

"""Starts all workers, stops all; the first that fails ends the program.

Threads: one for each worker; the caller's thread waits.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Sequence
from typing import Protocol

from bty_app.errors import BtyError

_log = logging.getLogger(__name__)
STOP_SECONDS = 9.0


class Worker(Protocol):
    """Long-lived work: `run` returns after `stop` was called, or raises."""

    name: str

    def run(self) -> None: ...

    def stop(self) -> None: ...


class WorkerFailedError(BtyError):
    """A worker ended by itself."""


class Supervisor:
    """Runs workers until `stop()` or the first failure."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._workers = tuple(workers)
        self._ended: queue.SimpleQueue[tuple[Worker | None, BaseException | None]] = (
            queue.SimpleQueue()
        )

    def run(self) -> None:
        """Start all, wait, stop all.

        Raises:
            WorkerFailedError: a worker ended before it was asked to.
        """
        threads = [
            threading.Thread(target=self._guarded, args=(worker,), name=worker.name, daemon=True)
            for worker in self._workers
        ]
        for thread in threads:
            thread.start()
        worker, error = self._ended.get()
        for each in self._workers:
            each.stop()
        for thread in threads:
            thread.join(STOP_SECONDS)
        if worker is not None:
            what = str(error) if error else "it ended by itself"
            raise WorkerFailedError(f"the worker {worker.name} failed: {what}") from error

    def stop(self) -> None:
        """Ask for the end. A signal handler may call it."""
        self._ended.put((None, None))

    def _guarded(self, worker: Worker) -> None:
        failure: BaseException | None = None
        try:
            worker.run()
        except Exception as error:  # noqa: BLE001 - handed to the thread that supervises
            _log.error("worker failed", exc_info=error)
            failure = error
        self._ended.put((worker, failure))

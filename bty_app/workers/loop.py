"""Runs a loop that looks at a flag: the boot servers, which the others do not depend on.

Threads: one, of the name that it is given.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

_log = logging.getLogger(__name__)
PAUSE_SECONDS = 1.0


class LoopWorker:
    """`loop(stopping)` returns soon after `stopping()` is true. One that fails is begun anew: HTTP
    goes on while TFTP has a bad day.
    """

    def __init__(self, name: str, loop: Callable[[Callable[[], bool]], None]) -> None:
        self.name = name
        self._loop = loop
        self._stopping = threading.Event()

    def run(self) -> None:
        """Run the loop until `stop()`."""
        while not self._stopping.is_set():
            try:
                self._loop(self._stopping.is_set)
            except Exception as error:  # noqa: BLE001 - a fault of ours, which the log has whole
                _log.error("%s failed and is begun anew", self.name, exc_info=error)
                self._stopping.wait(PAUSE_SECONDS)

    def stop(self) -> None:
        """End at the loop's next look."""
        self._stopping.set()

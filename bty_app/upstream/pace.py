"""The pace that a transfer has to keep, however long it takes.

Threads: each watch has one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Pace:
    """Fewer than `least_bytes` in `seconds` is a stall."""

    least_bytes: int = 64 * 1024
    seconds: float = 30.0


USUAL_PACE = Pace()
LOOK_SECONDS = 0.5  # between two looks whether the body is still wanted


class Watch:
    """Breaks a connection off that has lost its pace; only time spent waiting for it counts."""

    def __init__(
        self,
        cut: Callable[[], None],
        pace: Pace,
        is_wanted: Callable[[], bool],
        *,
        verb: str = "came",
    ) -> None:
        """`is_wanted` is asked twice a second; `verb` is what the bytes do."""
        self.moved = 0
        self.complaint = ""
        self._cut = cut
        self._pace = pace
        self._verb = verb
        self._is_wanted = is_wanted
        self._lock = threading.Lock()
        self._waited = 0.0
        self._since: float | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="http-pace", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """The block waits for bytes."""
        with self._lock:
            self._since = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._waited = self._time_waited()
                self._since = None

    def _time_waited(self) -> float:
        since = self._since
        return self._waited + (0.0 if since is None else time.monotonic() - since)

    def _run(self) -> None:
        pace = self._pace
        seen, mark, left = 0, 0.0, pace.seconds
        while not self._over.wait(min(max(left, pace.seconds / 10), LOOK_SECONDS)):
            if not self._is_wanted():
                self._end("it is not wanted any more")
                return
            with self._lock:
                waited = self._time_waited()
            left = pace.seconds - (waited - mark)
            if left > 0:
                continue
            if self.moved - seen < pace.least_bytes:
                few = f"fewer than {pace.least_bytes} bytes"
                self._end(f"{few} {self._verb} in {pace.seconds:g} seconds")
                return
            seen, mark, left = self.moved, waited, pace.seconds

    def _end(self, complaint: str) -> None:
        self.complaint = complaint
        self._cut()

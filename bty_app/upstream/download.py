"""A large body: it may take its time, but has to keep a pace.

Threads: each has one that watches the pace.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from bty_app.errors import UnavailableError
from bty_app.upstream.answers import Part, check_plain, too_large
from bty_app.upstream.exchange import CHUNK_BYTES, FAILURES, Exchange, reason


@dataclass(frozen=True, slots=True)
class Pace:
    """Fewer than `least_bytes` in `seconds` is a stall."""

    least_bytes: int = 64 * 1024
    seconds: float = 30.0


USUAL_PACE = Pace()
LOOK_SECONDS = 0.5  # between two looks whether the body is still wanted


def _always() -> bool:
    return True


class Download:
    """A body that is being sent: it begins at `offset` of a file of `total` bytes, where told."""

    def __init__(
        self,
        found: Exchange,
        part: Part,
        limit: int,
        pace: Pace,
        is_wanted: Callable[[], bool] = _always,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        """`is_wanted` is asked twice a second; where it says no, the connection is cut off."""
        self.status: int = found.response.status
        self.headers: Mapping[str, str] = found.response.headers
        self.offset = part.start
        self.total = part.total
        self._found = found
        self._end = part.end
        self._limit = limit
        self._pace = pace
        self._is_wanted = is_wanted
        self._chunk_bytes = chunk_bytes
        check_plain(found.target.shown, found.response)
        if max(part.total or 0, part.end or 0) > limit:
            raise too_large(found.target.shown, limit)

    def chunks(self) -> Iterator[bytes]:
        """The bytes as they come, in parts of at most `chunk_bytes`.

        Raises:
            TooLargeError: more than the limit, counted from the start of the file.
            UnavailableError: it stalls, breaks off, or ends before its declared end.
        """
        position = self.offset
        with _Watch(self._found.cut, self._pace, self._is_wanted) as watch:
            while chunk := self._chunk(watch, position):
                position += len(chunk)
                if position > self._limit:
                    raise too_large(self._found.target.shown, self._limit)
                yield chunk
        if self._end is not None and position != self._end:
            raise self._broken(position, "it is not as long as it declared")

    def _chunk(self, watch: _Watch, position: int) -> bytes:
        try:
            with watch.waiting():
                chunk = self._found.response.read1(self._chunk_bytes, decode_content=False)
                watch.received += len(chunk)
        except FAILURES as error:
            raise self._broken(position, watch.complaint or reason(error)) from error
        if watch.complaint:
            raise self._broken(position, watch.complaint)
        return chunk

    def _broken(self, position: int, why: str) -> UnavailableError:
        known = "" if self._end is None else f" of {self._end}"
        shown = self._found.target.shown
        return UnavailableError(f"{shown} broke off after {position}{known} bytes: {why}")


class _Watch:
    """Breaks a connection off that has lost its pace; only time spent waiting for it counts."""

    def __init__(self, cut: Callable[[], None], pace: Pace, is_wanted: Callable[[], bool]) -> None:
        self.received = 0
        self.complaint = ""
        self._cut = cut
        self._pace = pace
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
            if self.received - seen < pace.least_bytes:
                self._end(f"fewer than {pace.least_bytes} bytes came in {pace.seconds:g} seconds")
                return
            seen, mark, left = self.received, waited, pace.seconds

    def _end(self, complaint: str) -> None:
        self.complaint = complaint
        self._cut()

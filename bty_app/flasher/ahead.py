"""Reads parts of a source that the stream has not come to yet.

By ranges, where the source has them; where not, by reading it once more from its beginning. What
is read like this is compared with the stream when that gets there, so that the digest of the
stream proves it as well.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Generator, Iterator, Sequence

from bty_app.errors import BtyError, UnavailableError
from bty_app.flasher.fetch import Progress
from bty_app.flasher.flow import Flow
from bty_app.flasher.order import Source
from bty_app.flasher.sources import Opened, Sources

NEAR_BYTES = 4 * 1024 * 1024  # reading over so many is cheaper than asking anew
TRIES = 6  # in a row, among all sources

Place = tuple[int, int]  # where it begins, and how many bytes it has


class Ahead:
    """Reads from the sources that the stream comes from."""

    def __init__(
        self,
        given: Sequence[Source],
        progress: Progress,
        sources: Sources,
        flow: Flow,
        pauses: Sequence[float],
    ) -> None:
        self._given = given
        self._progress = progress
        self._sources = sources
        self._flow = flow
        self._pauses = pauses

    def read(self, places: Sequence[Place]) -> Iterator[bytes]:
        """The bytes of each place, which come in order; fewer where the file ends.

        Raises:
            UnavailableError: they cannot be had.
            StoppedError: the flash is stopped.
        """
        self._progress.is_ahead = True
        yield from self._read(deque(places))
        self._progress.is_ahead = False

    def _read(self, left: deque[Place]) -> Iterator[bytes]:
        failures = 0
        while left:
            try:
                with contextlib.closing(self._from(self._source(failures), left)) as found:
                    for data in found:
                        failures = 0
                        yield data
            except BtyError as error:
                self._flow.check()
                failures += 1
                if failures == TRIES:
                    raise UnavailableError(
                        f"what stands further behind in the image cannot be had: {error.message}"
                    ) from error
                self._flow.pause(self._pauses[min(failures, len(self._pauses) - 1)])

    def _source(self, failures: int) -> Source:
        """The one that the stream comes from, then the others."""
        now = self._progress.used[-1:]
        row = [*now, *(source for source in self._given if source not in now)]
        return row[failures % len(row)]

    def _from(self, source: Source, left: deque[Place]) -> Generator[bytes]:
        while left:
            start = left[0][0]
            if self._progress.total is not None and start >= self._progress.total:
                left.popleft()
                yield b""
                continue
            with self._sources.open(
                source, offset=start, is_wanted=lambda: not self._flow.is_stopped
            ) as opened:
                reader = _Reader(opened)
                has_ranges = opened.offset == start
                while left and (not has_ranges or reader.is_near(left[0][0])):
                    data = reader.read(*left[0])
                    left.popleft()
                    yield data


class _Reader:
    """A stream that is read forward."""

    def __init__(self, opened: Opened) -> None:
        self._chunks = opened.chunks
        self._chunk = b""
        self._at = opened.offset  # where the chunk begins

    def is_near(self, start: int) -> bool:
        """Whether that comes soon."""
        return self._at <= start <= self._at + len(self._chunk) + NEAR_BYTES

    def read(self, start: int, length: int) -> bytes:
        """The bytes there, or as many as there are."""
        found = bytearray()
        while len(found) < length:
            within = start + len(found) - self._at
            if within < len(self._chunk):
                found += self._chunk[within : within + length - len(found)]
                continue
            self._at += len(self._chunk)
            self._chunk = next(self._chunks, b"")
            if not self._chunk:
                break
        return bytes(found)

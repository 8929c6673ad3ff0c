"""A large body that comes: it may take its time, but has to keep a pace."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from bty_app.errors import UnavailableError
from bty_app.upstream.answers import Part, check_plain, too_large
from bty_app.upstream.exchange import CHUNK_BYTES, FAILURES, Exchange, reason
from bty_app.upstream.pace import Pace, Watch


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
        with Watch(self._found.cut, self._pace, self._is_wanted) as watch:
            while chunk := self._chunk(watch, position):
                position += len(chunk)
                if position > self._limit:
                    raise too_large(self._found.target.shown, self._limit)
                yield chunk
        if self._end is not None and position != self._end:
            raise self._broken(position, "it is not as long as it declared")

    def _chunk(self, watch: Watch, position: int) -> bytes:
        try:
            with watch.waiting():
                chunk = self._found.response.read1(self._chunk_bytes, decode_content=False)
                watch.moved += len(chunk)
        except FAILURES as error:
            raise self._broken(position, watch.complaint or reason(error)) from error
        if watch.complaint:
            raise self._broken(position, watch.complaint)
        return chunk

    def _broken(self, position: int, why: str) -> UnavailableError:
        known = "" if self._end is None else f" of {self._end}"
        shown = self._found.target.shown
        return UnavailableError(f"{shown} broke off after {position}{known} bytes: {why}")

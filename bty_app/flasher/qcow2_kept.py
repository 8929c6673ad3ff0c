"""What has come of a file, as far as it may still be asked for."""

from __future__ import annotations

from bisect import bisect_right

from bty_app.flasher.qcow2_format import damaged

SECTOR = 512  # a compressed cluster ends somewhere within its last one


class Kept:
    """The bytes of a file from its beginning on: those that were asked for are forgotten, those
    that were passed over are kept. `unknown` is how many that are.
    """

    def __init__(self) -> None:
        self._window = bytearray()
        self._base = 0  # where the window is in the file
        self._known = 0  # up to here everything was asked for, or passed over
        self._starts: list[int] = []
        self._passed: dict[int, bytes] = {}
        self._passed_bytes = 0

    @property
    def end(self) -> int:
        """How much of the file has come."""
        return self._base + len(self._window)

    @property
    def unknown(self) -> int:
        """How many bytes are kept without anybody having asked for them."""
        return self._passed_bytes + max(0, self.end - self._known)

    def add(self, data: bytes) -> None:
        """What comes next."""
        self._window += data

    def at(self, start: int, length: int, *, is_padded: bool = False) -> bytes:
        """The bytes there, or as many as the file has. `is_padded`: the end of the last sector
        belongs to something else.

        Raises:
            FlashIntegrityError: they are forgotten.
        """
        if start < self._base:
            return self._of_passed(start, length)
        if start > self._known:
            self._pass_over(start)
        self._known = max(self._known, start + length - (SECTOR if is_padded else 0))
        with memoryview(self._window) as window:
            return bytes(window[start - self._base : start - self._base + length])

    def forget_known(self, following: int) -> None:
        """Forget what was asked for; `following` is where the next question begins."""
        self._cut(min(following, self._known))

    def forget_all(self, following: int) -> None:
        """Forget everything before `following`: nothing else is unknown."""
        self._starts.clear()
        self._passed.clear()
        self._passed_bytes = 0
        self._cut(following)
        self._known = max(self._known, self._base)

    def _cut(self, end: int) -> None:
        count = min(end, self.end) - self._base
        if count > 0:
            del self._window[:count]
            self._base += count

    def _pass_over(self, end: int) -> None:
        first = self._known - self._base
        piece = bytes(self._window[max(0, first) : end - self._base])
        if len(piece) < SECTOR:  # between two compressed clusters
            return
        self._starts.append(self._known)
        self._passed[self._known] = piece
        self._passed_bytes += len(piece)

    def _of_passed(self, start: int, length: int) -> bytes:
        """From what was passed over, and the window behind it."""
        found = bytearray()
        while len(found) < length:
            at = start + len(found)
            if at >= self._base:
                rest = self._window[at - self._base :][: length - len(found)]
                found += rest
                break
            number = bisect_right(self._starts, at) - 1
            if number < 0:
                raise damaged("two parts of it are in one place")
            begun = self._starts[number]
            piece = self._passed[begun][at - begun :][: length - len(found)]
            if not piece:
                raise damaged("two parts of it are in one place")
            found += piece
        return bytes(found)

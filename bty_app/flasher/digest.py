"""The digest of a row of chunks, taken in a thread of its own: fetching does not wait for it."""

from __future__ import annotations

import hashlib

from bty_app.flasher.flow import Channel, Flow

AHEAD_BYTES = 8 * 1024 * 1024


class Digest:
    """SHA-256 of what it is given."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._channel = Channel(flow, AHEAD_BYTES)
        self._changed = flow.condition()
        self._hasher = hashlib.sha256()
        self._given = self._taken = 0
        self._has_begun = False

    def add(self, chunk: bytes) -> None:
        """The next bytes.

        Raises:
            StoppedError: the flash is stopped.
        """
        if not self._has_begun:
            self._has_begun = True
            self._flow.start("flash-digest", self._work)
        self._given += len(chunk)
        self._channel.put(chunk)

    def value(self) -> str:
        """The digest of all that was given so far, 64 hex digits.

        Raises:
            StoppedError: the flash is stopped.
        """
        with self._changed:
            self._flow.wait_for(self._changed, lambda: self._taken == self._given)
            return self._hasher.hexdigest()

    def end(self) -> None:
        """There is no more: the thread ends."""
        if self._has_begun and not self._flow.is_stopped:
            self._channel.put(None)

    def _work(self) -> None:
        while (chunk := self._channel.get()) is not None:
            self._hasher.update(chunk)
            with self._changed:
                self._taken += len(chunk)
                self._changed.notify_all()

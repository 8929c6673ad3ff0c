"""Large bodies of strangers are taken in turn: what each becomes in memory is bounded, and so is
what they become together.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from bty_app.errors import ThrottledError

# Hardware reports are some 20 to 200 KiB; such a body decodes to 8 MiB at most.
LARGE_BYTES = 256 * 1024
RETRY_SECONDS = 5
_WAITING = 2  # threads that answer nobody else meanwhile
_PATIENCE_SECONDS = 5.0


class LargeBodies:
    """One at a time, from reading it to the end of what is done with it. Any thread may call."""

    def __init__(self, *, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self._patience = patience_seconds
        self._room = threading.BoundedSemaphore(1 + _WAITING)
        self._turn = threading.Lock()

    @contextmanager
    def turn(self, size: int | None) -> Iterator[None]:
        """Wait until a body of `size` bytes may be read; a small one may at once.

        Raises:
            ThrottledError: too many wait, or it took too long: to be sent again.
        """
        if (size or 0) <= LARGE_BYTES:
            yield
            return
        if not self._room.acquire(blocking=False):
            raise _busy()
        try:
            if not self._turn.acquire(timeout=self._patience):
                raise _busy()
            try:
                yield
            finally:
                self._turn.release()
        finally:
            self._room.release()


def _busy() -> ThrottledError:
    return ThrottledError(
        f"other bodies of more than {LARGE_BYTES // 1024} KiB are being read: send it again in"
        f" {RETRY_SECONDS} seconds",
        retry_after=RETRY_SECONDS,
    )

"""A file on its way out that tells at its end how much of it went."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import BinaryIO


class Sent:
    """What the HTTP server needs of a file; `ended(bytes, seconds)` is called when it is closed.

    The server reads ahead and seeks back to what its socket took, so the position at the end is
    what was sent. It closes the file from its socket loop: `ended` must not wait.
    """

    def __init__(self, file: BinaryIO, ended: Callable[[int, float], None]) -> None:
        self._file = file
        self._ended = ended
        self._start = file.tell()
        self._began = time.monotonic()

    def read(self, size: int | None = -1, /) -> bytes:
        """As of a file."""
        return self._file.read(-1 if size is None else size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """As of a file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As of a file."""
        return self._file.tell()

    def close(self) -> None:
        """Close the file; tell how much of it was sent, once."""
        if self._file.closed:
            return
        sent = self._file.tell() - self._start
        self._file.close()
        self._ended(sent, time.monotonic() - self._began)

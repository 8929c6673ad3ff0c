"""Is a file that is in use still the one at its path?

SQLite does not ask in write-ahead mode: it goes on, and answers that all is well, with what nobody
finds again; and it would read another file of that name with the log of this one.
"""

from __future__ import annotations

from pathlib import Path

import apsw

from bty_app.errors import BtyError, StorageError
from bty_app.store import sqlite


class InPlace:
    """Knows the file that is at `path` now. Any thread may call."""

    def __init__(self, path: Path) -> None:
        """Raises StorageError where it cannot be looked at."""
        self._path = path
        try:
            self._known = _identity(path)
        except OSError as error:
            raise StorageError(f"{path}: cannot be looked at: {error.strerror}") from error

    def check(self) -> None:
        """See that it is there still.

        Raises:
            StorageError: it was moved away, removed or replaced.
        """
        try:
            found = _identity(self._path)
        except OSError:  # the disk is ill, and says so itself
            return
        if found != self._known:
            raise StorageError(
                f"{self._path}: was removed or replaced while it was in use: nothing was changed;"
                " stop the server and put the file back, or start again with the one there"
            )

    def meaning(self, error: apsw.Error) -> BtyError:
        """Why it cannot be written. Without a write-ahead log SQLite does ask whether the file is
        there, and calls it read-only where it is not.
        """
        try:
            self.check()
        except StorageError as moved:
            return moved
        return sqlite.translated(error)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino

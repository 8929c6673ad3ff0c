"""What every place for copies can do, wherever it is: a directory, a bucket, a WebDAV folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

MAX_ENTRIES = 100_000


@dataclass(frozen=True, slots=True)
class Stored:
    """A file there: its name with `/` between folders, below the place; its size in bytes."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Content:
    """What is to be stored: `size` bytes; each call of `chunks` gives the same, from the start."""

    size: int
    chunks: Callable[[], Iterator[bytes]]


class Place(Protocol):
    """Names have two parts, `folder/file`. A file is there whole or not at all.

    Every call raises, as it applies:
        NotAllowedError: the credentials are wrong, or may not do this.
        StorageError: there is no room, or it cannot be written.
        UnavailableError: it does not answer, or not as it should.
    """

    @property
    def shown(self) -> str:
        """Where it is, without credentials."""

    @property
    def proves(self) -> bool:
        """Whether it compares a checksum of what arrives, so that nothing needs to be read back."""

    @property
    def note(self) -> str:
        """What a person should know of this place, as far as it was used, or nothing."""

    def listed(self, folder: str = "") -> list[Stored]:
        """Every file there, or every one in `folder`.

        Raises:
            InvalidInputError: it cannot list.
        """

    def size(self, name: str) -> int | None:
        """The size of a file, or None where it is not there."""

    def put(self, name: str, content: Content, is_wanted: Callable[[], bool]) -> None:
        """Store a file, in place of what is there; goes on where an earlier try ended, if it can.

        Raises:
            CancelledError: `is_wanted` said no; what is there so far may be used by a later try.
        """

    def read(self, name: str, at: int = 0) -> Iterator[bytes]:
        """The bytes of a file from `at` on.

        Raises:
            NotFoundError: it is not there.
        """

    def remove(self, name: str) -> None:
        """Remove a file; one that is not there is no failure."""

    def abandoned(self) -> list[str]:
        """What unfinished uploads left that no listing shows."""

    def tidy(self, older_than_seconds: float) -> int:
        """Remove what unfinished uploads left so long ago; how many there were."""

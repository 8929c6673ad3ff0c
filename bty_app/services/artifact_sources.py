"""Where the files of a set come from: another host, a directory, or an archive."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Protocol

from bty_app.domain.image_source import without_credentials
from bty_app.errors import InvalidInputError, NotFoundError, TooLargeError, UnavailableError
from bty_app.upstream.http import Http, Request, StatusError

SMALL_SECONDS = 30.0
HEAD_SECONDS = 10.0
CHUNK_BYTES = 1024 * 1024

Reading = tuple[int, Iterator[bytes]]


class Source(Protocol):
    """A place that has the files of a set by their names."""

    @property
    def shown(self) -> str:
        """The place, for people."""

    def small(self, name: str, *, limit: int) -> bytes | None:
        """A small file; None where there is none of this name."""

    def size(self, name: str) -> int | None:
        """The size of a file in bytes, where the place tells."""

    def reading(self, name: str, *, start: int, limit: int) -> AbstractContextManager[Reading]:
        """Where the bytes begin (at `start`, or at 0 for a place that cannot), and the bytes."""


class Remote:
    """Another host: the first of `places` that has what is asked for first."""

    def __init__(self, http: Http, places: Sequence[str], is_wanted: Callable[[], bool]) -> None:
        """`is_wanted` is asked while a large file comes, and says whether to go on."""
        self._http = http
        self._is_wanted = is_wanted
        self._places = tuple(places)

    @property
    def shown(self) -> str:
        """The place, for people."""
        return without_credentials(self._places[0])

    def small(self, name: str, *, limit: int) -> bytes | None:
        """A small file; None where there is none of this name."""
        for place in self._places:
            try:
                data = self._http.get(_at(place, name), limit=limit, seconds=SMALL_SECONDS)
            except StatusError as error:
                if error.status not in (403, 404, 410):
                    raise
                continue
            self._places = (place,)  # from now on: files of two places are no set
            return data
        return None

    def size(self, name: str) -> int | None:
        """The size of a file in bytes, where the place tells."""
        return self._http.size(_at(self._places[0], name), seconds=HEAD_SECONDS)

    @contextmanager
    def reading(self, name: str, *, start: int, limit: int) -> Iterator[Reading]:
        """Where the bytes begin (at `start`, or at 0 for a place that cannot), and the bytes."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        request = Request(_at(self._places[0], name), headers=headers)
        with self._http.download(request, limit=limit, is_wanted=self._is_wanted) as found:
            yield found.offset, found.chunks()


class Directory:
    """A directory of this host: the first of `places` that has what is asked for first."""

    def __init__(self, places: Sequence[Path], shown: str = "") -> None:
        self._places = tuple(places)
        self._shown = shown

    @property
    def shown(self) -> str:
        """The place, for people."""
        return self._shown or str(self._places[0])

    def names(self) -> list[str]:
        """The names of all that is in the first place that is there."""
        for place in self._places:
            try:
                found = sorted(path.name for path in place.iterdir())
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise UnavailableError(f"{place} cannot be read: {error.strerror}") from error
            self._places = (place,)
            return found
        raise NotFoundError(f"{self._places[-1]}: there is no such directory")

    def small(self, name: str, *, limit: int) -> bytes | None:
        """A small file; None where there is none of this name."""
        for place in self._places:
            try:
                file = opened_file(place / name)
            except NotFoundError:
                continue
            self._places = (place,)
            with file:
                data = file.read(limit + 1)
            if len(data) > limit:
                raise TooLargeError(f"{place / name} is larger than {limit // 1024} KiB")
            return data
        return None

    def size(self, name: str) -> int | None:
        """The size of a file in bytes, where the place tells."""
        try:
            return (self._places[0] / name).stat().st_size
        except OSError:
            return None

    @contextmanager
    def reading(self, name: str, *, start: int, limit: int) -> Iterator[Reading]:
        """Where the bytes begin, and the bytes."""
        path = self._places[0] / name
        with FileIO(_opened(path), "rb") as file:
            if os.fstat(file.fileno()).st_size > limit:
                raise TooLargeError(f"{path} is larger than {limit} bytes")
            file.seek(start)
            yield start, _chunks(file, path)


def _at(place: str, name: str) -> str:
    return f"{place}/{name.replace('+', '%2B')}"


def _chunks(file: FileIO, path: Path) -> Iterator[bytes]:
    try:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
    except OSError as error:
        raise UnavailableError(f"{path} cannot be read: {error.strerror}") from error


def opened_file(path: Path) -> BinaryIO:
    """The regular file `path`, open for reading.

    Raises:
        InvalidInputError: it is something else than a file.
        NotFoundError: there is no such file.
        UnavailableError: it cannot be read.
    """
    return os.fdopen(_opened(path), "rb")


def _opened(path: Path) -> int:
    try:
        # without blocking: the name may be that of a pipe
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"{path}: there is no such file") from error
    except OSError as error:
        raise UnavailableError(f"{path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InvalidInputError(f"{path} is not a regular file")
    return descriptor

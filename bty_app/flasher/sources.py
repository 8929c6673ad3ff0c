"""Opens a source at any byte: an HTTP server, an OCI registry, or a file of this host."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from bty_app.errors import InvalidInputError, NotFoundError, UnavailableError
from bty_app.flasher.order import Source
from bty_app.upstream.http import Http, Pace, Request, StatusError
from bty_app.upstream.registry import Registry

CHUNK_BYTES = 1024 * 1024
MAX_BYTES = 2**62
RESOLVE_SECONDS = 30.0
# A plan has no login in it: any machine on the network can read the plans of all.
NO_LOGIN = "machines have no login: let the image be read without one, or have it in the cache"
_LOGIN = frozenset({401, 403})
_GONE = frozenset({404, 410})
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Opened:
    """The bytes of a source from `offset` on, of `total`; `tag` names this very version of it,
    `sha256` is what the source itself says the whole is.
    """

    offset: int
    total: int | None
    tag: str | None
    chunks: Iterator[bytes]
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Sources:
    """Opens them. `is_wanted` is asked while bytes come, from another thread."""

    http: Http
    registry: Registry
    pace: Pace = field(default_factory=Pace)

    @contextmanager
    def open(
        self,
        source: Source,
        *,
        offset: int = 0,
        tag: str | None = None,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> Iterator[Opened]:
        """The source from `offset` on, or from its beginning where it cannot; with `tag`, from
        the beginning also where it is another version.

        Raises:
            NotFoundError: it does not have the image, or does not give it to us.
            UnavailableError: it cannot be read now.
        """
        if source.kind == "file":
            with _file(source.url, offset) as opened:
                yield opened
            return
        url, headers, sha256 = source.url, dict(source.headers), None
        if source.kind == "registry":
            url, given, sha256 = self._resolved(source)
            headers |= given
        asked = _request(url, headers, offset, tag)
        try:
            with self.http.download(
                asked, limit=MAX_BYTES, pace=self.pace, is_wanted=is_wanted, chunk_bytes=CHUNK_BYTES
            ) as found:
                version = _version(found.headers)
                yield Opened(found.offset, found.total, version, found.chunks(), sha256)
        except StatusError as error:
            if error.status in _LOGIN:
                raise NotFoundError(f"{error.message}: {NO_LOGIN}") from error
            if error.status in _GONE:
                raise NotFoundError(error.message) from error
            raise

    def tail(
        self, source: Source, total: int, count: int, *, is_wanted: Callable[[], bool]
    ) -> bytes | None:
        """The last `count` bytes, where they can be had without the rest."""
        start = max(0, total - count)
        try:
            with self.open(source, offset=start, is_wanted=is_wanted) as opened:
                if opened.offset != start:
                    return None
                return b"".join(opened.chunks)[:count]
        except (UnavailableError, NotFoundError, InvalidInputError):
            return None

    def _resolved(self, source: Source) -> tuple[str, Mapping[str, str], str]:
        resolved = self.registry.resolve(source.url, seconds=RESOLVE_SECONDS)
        return resolved.blob_url, self.registry.blob_headers(resolved), resolved.digest


def is_final(error: Exception) -> bool:
    """Whether asking this source again cannot help."""
    if isinstance(error, StatusError):
        return error.status not in _RETRIED
    return not isinstance(error, UnavailableError)


def _request(url: str, headers: Mapping[str, str], offset: int, tag: str | None) -> Request:
    ranged = {"Range": f"bytes={offset}-"} if offset else {}
    if offset and tag:
        ranged["If-Range"] = tag
    return Request(url, headers={**headers, **ranged})


def _version(headers: Mapping[str, str]) -> str | None:
    """What If-Range may name: a strong entity tag, or a date (RFC 9110 13.1.5)."""
    tag = headers.get("ETag")
    if tag is None:
        return headers.get("Last-Modified")
    return tag if tag.startswith('"') else None


@contextmanager
def _file(path: str, offset: int) -> Iterator[Opened]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"{path}: there is no such file") from error
    except OSError as error:
        raise UnavailableError(f"{path} cannot be read: {error.strerror}") from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise InvalidInputError(f"{path} is not a regular file")
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        version = f"{found.st_dev}:{found.st_ino}:{found.st_mtime_ns}"
        chunks = _chunks(descriptor, path, offset, found.st_size)
        yield Opened(offset, found.st_size, version, chunks)
    finally:
        os.close(descriptor)


def _chunks(descriptor: int, path: str, offset: int, size: int) -> Iterator[bytes]:
    at = offset
    try:
        while chunk := os.pread(descriptor, CHUNK_BYTES, at):
            at += len(chunk)
            yield chunk
    except OSError as error:
        raise UnavailableError(f"{path} cannot be read: {error.strerror}") from error
    if at < size:
        raise UnavailableError(f"{path} became shorter while it was read")

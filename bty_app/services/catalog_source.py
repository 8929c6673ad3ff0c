"""Where a catalog comes from: a file of this host, another host, or a registry."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bty_app.domain.image_source import is_http, is_registry
from bty_app.errors import (
    InvalidInputError,
    NotFoundError,
    TooLargeError,
    UnavailableError,
)
from bty_app.upstream.http import Http, Request
from bty_app.upstream.registry import Registry

FETCH_SECONDS = 30.0
MAX_VERSION_CHARS = 256
_NOT_MODIFIED = 304

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True, slots=True)
class Version:
    """What a host calls a version of a file: its ETag, its Last-Modified, or neither."""

    etag: str | None = None
    modified: str | None = None

    def conditions(self) -> dict[str, str]:
        """The headers that ask for another version only."""
        pairs = {"If-None-Match": self.etag, "If-Modified-Since": self.modified}
        return {name: told for name, told in pairs.items() if told}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A catalog's bytes, and what the host calls this version of them."""

    data: bytes
    version: Version = Version()


class CatalogSource:
    """Other hosts, asked for a catalog only if it is another one than last time."""

    def __init__(self, http: Http, registry: Registry, *, seconds: float = FETCH_SECONDS) -> None:
        """An answer that takes longer than `seconds` is none."""
        self._http = http
        self._registry = registry
        self._seconds = seconds

    def load(self, source: str, *, limit: int, known: Version | None = None) -> Loaded | None:
        """The catalog at `source`; None when the host says that it is still the `known` one.

        Raises:
            As the function `load`.
        """
        if not is_http(source):
            seconds = self._seconds
            return Loaded(load(source, self._http, self._registry, limit=limit, seconds=seconds))
        headers = known.conditions() if known else {}
        request = Request(source, headers=headers)
        answer = self._http.ask(request, limit=limit, seconds=self._seconds)
        if answer.status == _NOT_MODIFIED and headers:
            return None
        if answer.status != 200:
            raise UnavailableError(f"{answer.url} answers {answer.status}, not 200")
        return Loaded(answer.body, _version(answer.headers))


def kept_version(row: Mapping[str, object]) -> Version:
    """The version of a catalog as it was kept."""
    return Version(_plain(row.get("etag")), _plain(row.get("modified")))


def _version(headers: Mapping[str, str]) -> Version:
    return Version(_plain(headers.get("ETag")), _settled(headers))


def _settled(headers: Mapping[str, str]) -> str | None:
    """The Last-Modified, unless the file may change once more in that second (RFC 9110 8.8.2.2)."""
    modified = _plain(headers.get("Last-Modified"))
    return modified if modified != headers.get("Date") else None


def _plain(told: object) -> str | None:
    """What a stranger told, if it is fit for a header and for keeping."""
    is_text = isinstance(told, str) and told.isascii() and told.isprintable()
    return str(told) if is_text and 0 < len(str(told)) <= MAX_VERSION_CHARS else None


def load(
    source: str,
    http: Http,
    registry: Registry,
    *,
    limit: int,
    seconds: float = FETCH_SECONDS,
) -> bytes:
    """The bytes of the catalog at `source`: a path, or an http, https, oras or file URL.

    Raises:
        InvalidInputError: a kind of source that cannot be read.
        NotFoundError: there is no such file.
        TooLargeError: it is larger than `limit` bytes.
        UnavailableError: it cannot be fetched, or the file cannot be read.
    """
    if is_http(source):
        return http.get(source, limit=limit, seconds=seconds)
    if is_registry(source):
        return registry.fetch(source, limit=limit, seconds=seconds)
    path = source[7:] if source[:7].lower() == "file://" else source
    if not path or "\0" in path or _SCHEME.match(path):
        raise InvalidInputError(
            f"{source[:200]!r} is no catalog source:"
            " give a path, or an http, https, oras or file URL"
        )
    return read_file(Path(path), limit=limit)


def read_file(path: Path, *, limit: int) -> bytes:
    """The bytes of a regular file.

    Raises:
        InvalidInputError: it is something else than a file.
        NotFoundError: there is no such file.
        TooLargeError: it is larger than `limit` bytes.
        UnavailableError: it cannot be read.
    """
    try:
        # without blocking: the path may name a pipe or a terminal
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise InvalidInputError(f"{path} is not a regular file")
            with open(descriptor, "rb", closefd=False) as file:
                data = file.read(limit + 1)
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise NotFoundError(f"{path}: there is no such file") from error
    except OSError as error:
        raise UnavailableError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > limit:
        raise TooLargeError(f"{path} is larger than {limit // 1024} KiB")
    return data

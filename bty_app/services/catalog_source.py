"""Where a catalog comes from: a file of this host, or another host over HTTP."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from bty_app.domain.image_source import is_http
from bty_app.errors import (
    InvalidInputError,
    NotFoundError,
    TooLargeError,
    UnavailableError,
)
from bty_app.upstream.http import Http

FETCH_SECONDS = 30.0

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def load(source: str, http: Http, *, limit: int) -> bytes:
    """The bytes of the catalog at `source`: a path, file://, http:// or https://.

    Raises:
        InvalidInputError: a kind of source that cannot be read.
        NotFoundError: there is no such file.
        TooLargeError: it is larger than `limit` bytes.
        UnavailableError: it cannot be fetched, or the file cannot be read.
    """
    if is_http(source):
        return http.get(source, limit=limit, seconds=FETCH_SECONDS)
    if source[:7].lower() == "oras://":
        raise InvalidInputError(
            "catalogs at oras:// cannot be read yet; fetch the file and import it from its path"
        )
    path = source[7:] if source[:7].lower() == "file://" else source
    if not path or "\0" in path or _SCHEME.match(path):
        raise InvalidInputError(
            f"{source[:200]!r} is no catalog source: give a path, file://, http:// or https://"
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

"""withcache, the URL-keyed cache beside us (CONTRACT 8.7)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bty_app.domain.withcache import blob_url
from bty_app.errors import UnavailableError
from bty_app.upstream.http import Http, Request, declared_size

_SHA256 = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes that the cache has. `sha256` is that of the bytes, whatever URL they are asked by."""

    url: str
    sha256: str
    size_bytes: int | None


class Withcache:
    """Asks a cache. Any thread may call."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def look(self, base: str, origin: str, *, seconds: float) -> Held | None:
        """What the cache at `base` has of `origin`; None when it has nothing.

        A cache before 0.10 begins to fetch what it is asked for and has not.

        Raises:
            UnavailableError: no proper answer within `seconds`.
        """
        url = blob_url(base, origin)
        answer = self._http.ask(Request(url, "HEAD"), limit=0, seconds=seconds)
        if answer.status == 404:
            return None
        sha256 = answer.headers.get("X-Withcache-Sha256", "")
        if answer.status != 200 or not _SHA256.fullmatch(sha256):
            raise UnavailableError(f"{base} answers {answer.status}, not as withcache does")
        return Held(url, sha256.lower(), declared_size(answer.headers))

"""withcache, the URL-keyed cache beside us (CONTRACT 8.7)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from bty_app.domain.json_bounds import object_of
from bty_app.domain.withcache import Held, Listed, blob_url, lists_what_it_has
from bty_app.errors import InvalidInputError, UnavailableError
from bty_app.upstream.http import Answer, Http, Request, declared_size

ACT_SECONDS = 10.0
MAX_ANSWER_BYTES = 64 * 1024
MAX_LIST_BYTES = 10 * 1024 * 1024

_SERVER = re.compile(r"withcache/([0-9A-Za-z.+-]{1,40})", re.ASCII)
_SHA256 = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)


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

    def version(self, base: str, *, seconds: float) -> str:
        """The version of the cache at `base`; empty where it does not say.

        Raises:
            UnavailableError: no answer of a cache within `seconds`.
        """
        health = self._http.ask(Request(f"{base}/healthz"), limit=MAX_ANSWER_BYTES, seconds=seconds)
        server = _SERVER.match(health.headers.get("Server", ""))  # before 0.9 it says it there
        return _version(base, health) or (server[1] if server else "")

    def listed(self, base: str, *, seconds: float) -> Mapping[str, Listed] | None:
        """What the catalog of the cache at `base` names, by source; None before 0.10.

        Raises:
            BtyError: no proper answers, each within `seconds`.
        """
        health = self._http.ask(Request(f"{base}/healthz"), limit=MAX_ANSWER_BYTES, seconds=seconds)
        if not lists_what_it_has(_version(base, health)):
            return None
        answer = self._http.ask(Request(f"{base}/catalog"), limit=MAX_LIST_BYTES, seconds=seconds)
        rows = _object(base, answer, 200).get("entries")
        if not isinstance(rows, list):
            raise _refused(base, answer)
        return {row["src"]: _listed(row) for row in rows[::-1] if _names_a_source(row)}

    def list_image(self, base: str, name: str, src: str, *, password: str) -> bool:
        """Put an image into the cache's catalog; False for a cache before 0.10, which has none.

        Raises:
            UnavailableError: it does not answer, or refuses.
        """
        body = json.dumps({"name": name, "src": src}).encode()
        answer = self._post(f"{base}/catalog/entries", body, password)
        if answer.status in (404, 405, 501):
            return False
        if answer.status not in (201, 409):  # 409: it is there
            raise _refused(base, answer)
        return True

    def start(self, base: str, name: str, *, password: str, force: bool) -> int:
        """Have the cache fetch an image of its catalog; the number of the fetch under way.

        Raises:
            UnavailableError: it does not answer, or refuses.
        """
        url = f"{base}/catalog/entries/{quote(name, safe='')}/download{'?force=1' if force else ''}"
        answer = self._post(url, b"", password)
        job = _object(base, answer, 202).get("job_id")
        if type(job) is not int:
            raise _refused(base, answer)
        return job

    def _post(self, url: str, body: bytes, password: str) -> Answer:
        headers = {"Content-Type": "application/json"}
        if password:
            headers["Authorization"] = f"Bearer {password}"
        request = Request(url, "POST", headers, body)
        return self._http.ask(request, limit=MAX_ANSWER_BYTES, seconds=ACT_SECONDS)


def _version(base: str, health: Answer) -> str:
    """The version that it says it has; empty for those that say "ok" and no more."""
    if health.status == 200 and health.body.strip() == b"ok":
        return ""
    told = _object(base, health, 200)
    if told.get("service") != "withcache":
        raise _refused(base, health)
    return str(told.get("version", ""))[:40]


def _object(base: str, answer: Answer, status: int) -> dict[str, Any]:
    if answer.status != status:
        raise _refused(base, answer)
    try:
        return object_of(answer.body)
    except InvalidInputError as error:
        raise _refused(base, answer) from error


def _names_a_source(row: object) -> bool:
    return isinstance(row, dict) and isinstance(row.get("src"), str)


def _listed(row: Mapping[str, object]) -> Listed:
    sha256, size = row.get("sha256"), row.get("size_bytes")
    is_digest = isinstance(sha256, str) and _SHA256.fullmatch(sha256)
    return Listed(
        str(sha256).lower() if is_digest else None,
        size if type(size) is int and size >= 0 else None,
    )


def _refused(base: str, answer: Answer) -> UnavailableError:
    if answer.status == 401:
        return UnavailableError(f"{base} wants its password: set withcache.password")
    return UnavailableError(f"{base} answers {answer.status}, not as withcache does")

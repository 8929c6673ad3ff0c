"""Other people's HTTP servers, which may be slow, wrong or hostile: every exchange is bounded.

Threads: any may call.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import unquote

from bty_app.errors import UnavailableError
from bty_app.upstream.answers import (
    StatusError,
    check_plain,
    check_status,
    declared_size,
    part_of,
    too_large,
)
from bty_app.upstream.connect import Dialer
from bty_app.upstream.download import Download
from bty_app.upstream.exchange import (
    CHUNK_BYTES,
    Exchange,
    Message,
    Target,
    check_deadline,
    exchange,
    failures,
    redirected,
    target_of,
)
from bty_app.upstream.pace import USUAL_PACE, Pace
from bty_app.upstream.upload import Upload, send

__all__ = [
    "Answer",
    "BusyError",
    "Download",
    "Http",
    "Pace",
    "Request",
    "StatusError",
    "Upload",
    "declared_size",
]

MAX_REDIRECTS = 5
EXCHANGES_AT_ONCE = 4  # a request of an operator waits for each: keep threads for machines

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_FOR_ONE_ORIGIN = frozenset({"authorization", "cookie"})


class BusyError(UnavailableError):
    """All places for exchanges are taken here; nobody was asked."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask. Credentials in the URL or the headers go to its own origin alone."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Names in `headers` are found in any case; `url` is the last one of the
    chain, for people: without credentials, and at most 200 characters.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


class Http:
    """Asks other hosts."""

    def __init__(
        self,
        *,
        agent: str = "bty",
        at_once: int = EXCHANGES_AT_ONCE,
        wait_seconds: float = 0.0,
        ca: Path | None = None,
    ) -> None:
        """At most `at_once` exchanges at a time; one more waits `wait_seconds` for a place. `ca`
        is a PEM file with the authorities to trust in place of the usual ones.
        """
        self._agent = agent
        self._slots = threading.BoundedSemaphore(at_once)
        self._wait_seconds = wait_seconds
        self._dialer = Dialer(ca)

    def believing(self, authorities: str) -> Http:
        """One that asks in the same places, and believes the authorities of this PEM text beside
        those of the system.
        """
        other = copy(self)
        other._dialer = Dialer(beside=authorities)
        return other

    def get(self, url: str, *, limit: int, seconds: float) -> bytes:
        """The body at `url`, whole, from at most five redirects away.

        Raises:
            InvalidInputError: `url` is no http or https URL.
            TooLargeError: the body is larger than `limit` bytes.
            UnavailableError: no such answer within `seconds`; the sentence says what came instead.
        """
        deadline = time.monotonic() + seconds
        with self._answer(Request(url), deadline) as found:
            check_status(found.target.shown, found.response, 200)
            return _body(found, limit, deadline)

    def ask(self, request: Request, *, limit: int, seconds: float) -> Answer:
        """The answer, of whatever status; a redirect of GET or HEAD is followed.

        Raises:
            InvalidInputError: the URL is no http or https URL.
            TooLargeError: the body is larger than `limit` bytes.
            UnavailableError: no answer within `seconds`.
        """
        deadline = time.monotonic() + seconds
        with self._answer(request, deadline) as found:
            body = b"" if request.method == "HEAD" else _body(found, limit, deadline)
            response = found.response
            return Answer(response.status, response.headers, body, found.target.shown)

    def size(self, url: str, *, seconds: float) -> int | None:
        """The size in bytes that a HEAD of `url` tells, or None when it does not.

        Raises:
            InvalidInputError: `url` is no http or https URL.
        """
        try:
            answer = self.ask(Request(url, "HEAD"), limit=0, seconds=seconds)
        except UnavailableError:
            return None
        return declared_size(answer.headers) if answer.status == 200 else None

    @contextmanager
    def download(
        self,
        request: Request,
        *,
        limit: int,
        pace: Pace = USUAL_PACE,
        is_wanted: Callable[[], bool] = lambda: True,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> Iterator[Download]:
        """A large body, to be read within the block, for as long as it keeps its pace and
        `is_wanted` says so.

        Raises:
            InvalidInputError: the URL is no http or https URL.
            TooLargeError: the file is larger than `limit` bytes.
            StatusError: the answer is neither 200 nor 206.
            UnavailableError: it cannot be fetched, or is another part than the Range of the
                request asks for.
        """
        deadline = time.monotonic() + pace.seconds
        with self._answer(request, deadline) as found:
            check_status(found.target.shown, found.response, 200, 206)
            part = part_of(found.target.shown, found.response, _range_of(request))
            found.stop_deadline()
            yield Download(found, part, limit, pace, is_wanted, chunk_bytes)

    def upload(self, request: Request, upload: Upload) -> Answer:
        """The answer, of whatever status, to a request with a large body; no redirect is followed.

        Raises:
            InvalidInputError: the URL is no http or https URL.
            CancelledError: the upload is not wanted any more.
            UnavailableError: it cannot be sent, or is not answered.
        """
        target = target_of(request.url)
        with self._slot():
            found = send(self._dialer, self._message(request, target, at_home=True), target, upload)
            if found.response.status in _REDIRECTS:
                raise UnavailableError(f"{target.shown} redirects a {request.method}")
            response = found.response
            return Answer(response.status, response.headers, found.body, target.shown)

    @contextmanager
    def _answer(self, request: Request, deadline: float) -> Iterator[Exchange]:
        """The answer of the last server in the chain of redirects, its body unread."""
        first = target = target_of(request.url)
        with self._slot():
            for _hop in range(MAX_REDIRECTS + 1):
                message = self._message(request, first, at_home=target.origin == first.origin)
                with exchange(self._dialer, message, target, deadline) as found:
                    if found.response.status not in _REDIRECTS:
                        yield found
                        return
                    if request.method not in ("GET", "HEAD"):
                        raise UnavailableError(f"{target.shown} redirects a {request.method}")
                    target = redirected(target, found.response)
        raise UnavailableError(f"{first.shown} redirects more than {MAX_REDIRECTS} times")

    @contextmanager
    def _slot(self) -> Iterator[None]:
        if not self._slots.acquire(timeout=self._wait_seconds):
            raise BusyError("too many requests to other hosts are under way; try again soon")
        try:
            yield
        finally:
            self._slots.release()

    def _message(self, request: Request, first: Target, *, at_home: bool) -> Message:
        headers = {"User-Agent": self._agent, "Accept": "*/*", "Accept-Encoding": "identity"}
        if at_home and first.url.auth:
            token = base64.b64encode(unquote(first.url.auth).encode()).decode()
            headers["Authorization"] = f"Basic {token}"
        given = request.headers.items()
        headers |= {k: v for k, v in given if at_home or k.lower() not in _FOR_ONE_ORIGIN}
        return Message(request.method, headers, request.body)


def _body(found: Exchange, limit: int, deadline: float) -> bytes:
    shown, response = found.target.shown, found.response
    check_plain(shown, response)
    if (declared_size(response.headers) or 0) > limit:
        raise too_large(shown, limit)
    body = bytearray()
    with failures(found.target, deadline):
        while chunk := response.read1(CHUNK_BYTES, decode_content=False):
            body += chunk
            if len(body) > limit:
                raise too_large(shown, limit)
        check_deadline(deadline)
    return bytes(body)


def _range_of(request: Request) -> str | None:
    return next((v for k, v in request.headers.items() if k.lower() == "range"), None)

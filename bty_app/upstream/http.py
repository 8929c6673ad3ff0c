"""Other people's HTTP servers, which may be slow, wrong or hostile: every exchange is bounded.

Threads: any may call. A download has a thread that watches its pace.
"""

from __future__ import annotations

import base64
import http.client
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import unquote

from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError, ReadTimeoutError

from bty_app.errors import TooLargeError, UnavailableError
from bty_app.upstream.exchange import (
    Exchange,
    Message,
    Target,
    check_deadline,
    exchange,
    failures,
    reason,
    redirected,
    target_of,
)

MAX_REDIRECTS = 5
CHUNK_BYTES = 64 * 1024
EXCHANGES_AT_ONCE = 4  # a request of an operator waits for each: keep threads for machines

_SIZE_LIMIT = 2**63 - 1  # what an SQLite integer holds
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", re.ASCII)
_FOR_ONE_ORIGIN = frozenset({"authorization", "cookie"})


class BusyError(UnavailableError):
    """All places for exchanges are taken here; nobody was asked."""


class StatusError(UnavailableError):
    """An answer that is no success; `status` says which."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask. Credentials in the URL or the headers go to its own origin alone."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: names in `headers` are found in any case; `url` is without credentials."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


@dataclass(frozen=True, slots=True)
class Pace:
    """Fewer than `least_bytes` in `seconds` is a stall."""

    least_bytes: int = 64 * 1024
    seconds: float = 30.0


class Http:
    """Asks other hosts."""

    def __init__(
        self,
        *,
        agent: str = "bty",
        at_once: int = EXCHANGES_AT_ONCE,
        wait_seconds: float = 0.0,
    ) -> None:
        """At most `at_once` exchanges at a time; one more waits `wait_seconds` for a place."""
        self._agent = agent
        self._slots = threading.BoundedSemaphore(at_once)
        self._wait_seconds = wait_seconds

    def get(self, url: str, *, limit: int, seconds: float) -> bytes:
        """The body at `url`, whole, from at most five redirects away.

        Raises:
            InvalidInputError: `url` is no http or https URL.
            TooLargeError: the body is larger than `limit` bytes.
            UnavailableError: no such answer within `seconds`; the sentence says what came instead.
        """
        deadline = time.monotonic() + seconds
        with self._answer(Request(url), deadline) as (target, found):
            _check_status(target, found.response, {200})
            return _body(target, found.response, limit, deadline)

    def ask(self, request: Request, *, limit: int, seconds: float) -> Answer:
        """The answer, of whatever status; a redirect of GET or HEAD is followed.

        Raises:
            InvalidInputError: the URL is no http or https URL.
            TooLargeError: the body is larger than `limit` bytes.
            UnavailableError: no answer within `seconds`.
        """
        deadline = time.monotonic() + seconds
        with self._answer(request, deadline) as (target, found):
            response = found.response
            body = b""
            if request.method != "HEAD":
                body = _body(target, response, limit, deadline)
            return Answer(response.status, response.headers, body, target.shown)

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
    def download(self, request: Request, *, limit: int, pace: Pace = Pace()) -> Iterator[Download]:
        """A large body, to be read within the block, for as long as it keeps its pace.

        Raises:
            InvalidInputError: the URL is no http or https URL.
            TooLargeError: the file is larger than `limit` bytes.
            StatusError: the answer is neither 200 nor 206.
            UnavailableError: it cannot be fetched.
        """
        deadline = time.monotonic() + pace.seconds
        with self._answer(request, deadline) as (target, found):
            _check_status(target, found.response, {200, 206})
            found.stop_deadline()
            yield Download(target, found, limit, pace)

    @contextmanager
    def _answer(self, request: Request, deadline: float) -> Iterator[tuple[Target, Exchange]]:
        """The answer of the last server in the chain of redirects, its body unread."""
        first = target = target_of(request.url)
        with self._slot():
            for _hop in range(MAX_REDIRECTS + 1):
                message = self._message(request, first, at_home=target.origin == first.origin)
                with exchange(message, target, deadline) as found:
                    if found.response.status not in _REDIRECTS:
                        yield target, found
                        return
                    if request.method not in ("GET", "HEAD"):
                        raise UnavailableError(f"{target.shown} redirects a {request.method}")
                    target = redirected(target, found.response)
        raise UnavailableError(f"{first.shown} redirects more than {MAX_REDIRECTS} times")

    @contextmanager
    def _slot(self) -> Iterator[None]:
        if not self._slots.acquire(timeout=self._wait_seconds or None, blocking=self._waits):
            raise BusyError("too many requests to other hosts are under way; try again soon")
        try:
            yield
        finally:
            self._slots.release()

    @property
    def _waits(self) -> bool:
        return self._wait_seconds > 0

    def _message(self, request: Request, first: Target, *, at_home: bool) -> Message:
        headers = {"User-Agent": self._agent, "Accept": "*/*", "Accept-Encoding": "identity"}
        if at_home and first.url.auth:
            token = base64.b64encode(unquote(first.url.auth).encode()).decode()
            headers["Authorization"] = f"Basic {token}"
        given = request.headers.items()
        headers |= {k: v for k, v in given if at_home or k.lower() not in _FOR_ONE_ORIGIN}
        return Message(request.method, headers, request.body)


class Download:
    """A body that is being sent: it begins at `offset` of a file of `total` bytes, where told."""

    def __init__(self, target: Target, found: Exchange, limit: int, pace: Pace) -> None:
        response = found.response
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self._target = target
        self._found = found
        self._limit = limit
        self._pace = pace
        _check_plain(target, response)
        length = declared_size(response.headers)
        self.offset, self.total = 0, length
        if response.status == 206:
            self.offset, self.total = _content_range(target, response)
        largest = self.total if self.total is not None else self.offset + (length or 0)
        if largest > limit:
            raise _too_large(target, limit)

    def chunks(self) -> Iterator[bytes]:
        """The bytes, in parts of at most 64 KiB.

        Raises:
            TooLargeError: more than the limit, counted from the start of the file.
            UnavailableError: it stalls, breaks off, or ends before its declared end.
        """
        watch = _Watch(self._found, self._pace)
        position = self.offset
        try:
            for chunk in self._found.response.stream(CHUNK_BYTES, decode_content=False):
                position += len(chunk)
                if position > self._limit:
                    raise _too_large(self._target, self._limit)
                watch.received += len(chunk)
                yield chunk
        except (HTTPError, http.client.HTTPException, OSError, ValueError) as error:
            watch.stalled = watch.stalled or isinstance(error, ReadTimeoutError)
            raise self._broken(position, watch, reason(error)) from error
        finally:
            watch.stop()
        if watch.stalled or (self.total is not None and position != self.total):
            raise self._broken(position, watch, "it ended early")

    def _broken(self, position: int, watch: _Watch, why: str) -> UnavailableError:
        pace = self._pace
        if watch.stalled:
            why = f"fewer than {pace.least_bytes} bytes came in {pace.seconds:g} seconds"
        known = "" if self.total is None else f" of {self.total}"
        return UnavailableError(
            f"{self._target.shown} broke off after {position}{known} bytes: {why}"
        )


class _Watch:
    """Breaks a connection off that has lost its pace."""

    def __init__(self, found: Exchange, pace: Pace) -> None:
        self.received = 0
        self.stalled = False
        self._found = found
        self._pace = pace
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="http-pace", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        before = 0
        while not self._over.wait(self._pace.seconds):
            if self.received - before < self._pace.least_bytes:
                self.stalled = True
                self._found.cut()
                return
            before = self.received

    def stop(self) -> None:
        self._over.set()
        self._thread.join()


def declared_size(headers: Mapping[str, str]) -> int | None:
    """The size that Content-Length declares, where it is a number of bytes."""
    text = headers.get("Content-Length", "")
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) > _SIZE_LIMIT:
        return None
    return int(text)


def _check_status(target: Target, response: BaseHTTPResponse, wanted: set[int]) -> None:
    if response.status not in wanted:
        sentence = f"{target.shown} answers {response.status}, not 200"
        raise StatusError(sentence, status=response.status)


def _check_plain(target: Target, response: BaseHTTPResponse) -> None:
    if response.headers.get("Content-Encoding", "identity").lower() not in ("identity", ""):
        raise UnavailableError(f"{target.shown} sends its body compressed, though told not to")


def _content_range(target: Target, response: BaseHTTPResponse) -> tuple[int, int | None]:
    """Where a part begins, and the size of the whole (RFC 9110 14.4)."""
    found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if found:
        first, last = int(found[1]), int(found[2])
        total = None if found[3] == "*" else int(found[3])
        if first <= last and (total is None or last + 1 == total):
            return first, total if total is not None else last + 1
    raise UnavailableError(f"{target.shown} sends a part without saying which")


def _body(target: Target, response: BaseHTTPResponse, limit: int, deadline: float) -> bytes:
    _check_plain(target, response)
    if (declared_size(response.headers) or 0) > limit:
        raise _too_large(target, limit)
    body = bytearray()
    with failures(target, deadline):
        for chunk in response.stream(CHUNK_BYTES, decode_content=False):
            body += chunk
            if len(body) > limit:
                raise _too_large(target, limit)
        check_deadline(deadline)
    return bytes(body)


def _too_large(target: Target, limit: int) -> TooLargeError:
    return TooLargeError(f"{target.shown} is larger than {limit // 1024} KiB")

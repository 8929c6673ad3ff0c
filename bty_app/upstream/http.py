"""Other people's HTTP servers, which may be slow, wrong or hostile: every exchange is bounded.

Threads: any may call. Each exchange has a timer thread that cuts its connection off at the
deadline, since a time-out for each read never ends on a peer that sends a byte now and then.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import unquote, urljoin

from urllib3 import BaseHTTPResponse
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, LocationValueError
from urllib3.util import Url, parse_url

from bty_app.errors import InvalidInputError, TooLargeError, UnavailableError

MAX_REDIRECTS = 5
CONNECT_SECONDS = 10.0
CHUNK_BYTES = 64 * 1024
EXCHANGES_AT_ONCE = 4  # a request of an operator waits for each: keep threads for machines

_SIZE_LIMIT = 2**63 - 1  # what an SQLite integer holds
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# ValueError: a host that no resolver takes (UnicodeError), or a header that is no number.
_FAILURES = (HTTPError, http.client.HTTPException, OSError, ValueError)


@dataclass(frozen=True, slots=True)
class _Target:
    """A URL taken apart; `shown` is without credentials."""

    url: Url
    shown: str

    @property
    def origin(self) -> tuple[str | None, str | None, int | None]:
        return self.url.scheme, self.url.host, self.url.port


class Http:
    """Fetches small files, and asks for the size of large ones."""

    def __init__(self, *, agent: str = "bty", at_once: int = EXCHANGES_AT_ONCE) -> None:
        self._agent = agent
        self._slots = threading.BoundedSemaphore(at_once)

    def get(self, url: str, *, limit: int, seconds: float) -> bytes:
        """The body at `url`, whole, from at most five redirects away.

        Raises:
            InvalidInputError: `url` is no http or https URL.
            TooLargeError: the body is larger than `limit` bytes.
            UnavailableError: no such answer within `seconds`; the sentence says what came instead.
        """
        with self._answer("GET", url, seconds) as (target, response, deadline):
            return _body(target, response, limit, deadline)

    def size(self, url: str, *, seconds: float) -> int | None:
        """The size in bytes that a HEAD of `url` tells, or None when it does not.

        Raises:
            InvalidInputError: `url` is no http or https URL.
        """
        try:
            with self._answer("HEAD", url, seconds) as (_target, response, _deadline):
                return _declared_size(response)
        except UnavailableError:
            return None

    @contextmanager
    def _answer(
        self, method: str, url: str, seconds: float
    ) -> Iterator[tuple[_Target, BaseHTTPResponse, float]]:
        """The answer 200 of the last server in the chain of redirects, its body unread."""
        deadline = time.monotonic() + seconds
        first = target = _target(url)
        with self._slot():
            for _hop in range(MAX_REDIRECTS + 1):
                headers = self._headers(first.url.auth if target.origin == first.origin else None)
                with _exchange(method, target, headers, deadline) as response:
                    if response.status not in _REDIRECTS:
                        _check_status(target, response)
                        yield target, response, deadline
                        return
                    target = _redirected(target, response)
        raise UnavailableError(f"{first.shown} redirects more than {MAX_REDIRECTS} times")

    @contextmanager
    def _slot(self) -> Iterator[None]:
        if not self._slots.acquire(blocking=False):
            raise UnavailableError("too many requests to other hosts are under way; try again soon")
        try:
            yield
        finally:
            self._slots.release()

    def _headers(self, credentials: str | None) -> dict[str, str]:
        headers = {"User-Agent": self._agent, "Accept": "*/*", "Accept-Encoding": "identity"}
        if credentials:
            token = base64.b64encode(unquote(credentials).encode()).decode()
            headers["Authorization"] = f"Basic {token}"
        return headers


def _target(url: str) -> _Target:
    try:
        parsed = parse_url(url)
    except LocationValueError as error:
        raise InvalidInputError(f"{url[:200]!r} is not a URL that can be fetched") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise InvalidInputError(f"{url[:200]!r} is not an http or https URL with a host")
    return _Target(parsed, parsed._replace(auth=None).url[:200])


def _redirected(target: _Target, response: BaseHTTPResponse) -> _Target:
    location = response.headers.get("Location", "")
    try:
        return _target(urljoin(target.url.url, location))
    except (InvalidInputError, ValueError) as error:
        raise UnavailableError(
            f"{target.shown} redirects to {location[:200]!r}, which is refused"
        ) from error


def _check_status(target: _Target, response: BaseHTTPResponse) -> None:
    if response.status != 200:
        raise UnavailableError(f"{target.shown} answers {response.status}, not 200")


def _declared_size(response: BaseHTTPResponse) -> int | None:
    text = response.headers.get("Content-Length", "")
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) > _SIZE_LIMIT:
        return None
    return int(text)


def _body(target: _Target, response: BaseHTTPResponse, limit: int, deadline: float) -> bytes:
    if response.headers.get("Content-Encoding", "identity").lower() not in ("identity", ""):
        raise UnavailableError(f"{target.shown} sends its body compressed, though told not to")
    if (_declared_size(response) or 0) > limit:
        raise _too_large(target, limit)
    body = bytearray()
    with _failures(target, deadline):
        for chunk in response.stream(CHUNK_BYTES, decode_content=False):
            body += chunk
            if len(body) > limit:
                raise _too_large(target, limit)
        _check_deadline(deadline)  # a connection that was cut off can look like the end of a body
    return bytes(body)


def _too_large(target: _Target, limit: int) -> TooLargeError:
    return TooLargeError(f"{target.shown} is larger than {limit // 1024} KiB")


# -- one exchange ------------------------------------------------------------------------------


@contextmanager
def _exchange(
    method: str, target: _Target, headers: Mapping[str, str], deadline: float
) -> Iterator[BaseHTTPResponse]:
    """One request, and its answer with the body unread."""
    with _failures(target, deadline):
        connection = _connected(target, deadline)
    with contextlib.closing(connection), _cut_off(connection, deadline):
        with _failures(target, deadline):
            connection.request(
                method,
                target.url.request_uri,
                headers=headers,
                preload_content=False,
                decode_content=False,
            )
            response = connection.getresponse()
            _check_deadline(deadline)
        with contextlib.closing(response):
            yield response


def _connected(target: _Target, deadline: float) -> HTTPConnection:
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError
    kind = HTTPSConnection if target.url.scheme == "https" else HTTPConnection
    host = (target.url.host or "").removeprefix("[").removesuffix("]")
    connection = kind(host, target.url.port, timeout=min(CONNECT_SECONDS, remaining))
    try:
        connection.connect()
    except BaseException:
        connection.close()
        raise
    connection.timeout = remaining
    return connection


@contextmanager
def _cut_off(connection: HTTPConnection, deadline: float) -> Iterator[None]:
    """Shut the connection down at the deadline, whatever its peer is doing."""
    open_socket: socket.socket = connection.sock

    def cut() -> None:
        with contextlib.suppress(OSError):  # closed already
            # not SSLSocket.shutdown: it would pull the TLS state from under the reading thread
            socket.socket.shutdown(open_socket, socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, deadline - time.monotonic()), cut)
    timer.name = "http-deadline"
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _check_deadline(deadline: float) -> None:
    if time.monotonic() >= deadline:
        raise TimeoutError


@contextmanager
def _failures(target: _Target, deadline: float) -> Iterator[None]:
    """Say what the block's network failure means, as a sentence about the target."""
    try:
        yield
    except _FAILURES as error:
        if time.monotonic() >= deadline:
            raise UnavailableError(f"{target.shown} did not answer in time") from error
        raise UnavailableError(f"{target.shown} cannot be fetched: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """The innermost cause in its own words, without the addresses of objects."""
    cause = error.__cause__ or error.__context__ or error
    text = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return str(text)[:200]

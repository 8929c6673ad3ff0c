"""One HTTP exchange with another host, cut off at its deadline whatever the host does.

Threads: each exchange has a timer thread, since a time-out for each read never ends on a peer that
sends a byte now and then.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urljoin

from urllib3 import BaseHTTPResponse
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, LocationValueError
from urllib3.util import Url, parse_url

from bty_app.errors import InvalidInputError, UnavailableError

CONNECT_SECONDS = 10.0

# ValueError: a host that no resolver takes (UnicodeError), or a header that is no number.
_FAILURES = (HTTPError, http.client.HTTPException, OSError, ValueError)


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart; `shown` is without credentials."""

    url: Url
    shown: str

    @property
    def origin(self) -> tuple[str | None, str | None, int | None]:
        """Scheme, host and port: credentials are for one origin alone."""
        return self.url.scheme, self.url.host, self.url.port


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: all of a request but where it goes."""

    method: str
    headers: Mapping[str, str]
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """An answer with its body unread, and the way to break it off."""

    response: BaseHTTPResponse
    cut: Callable[[], None]
    stop_deadline: Callable[[], None]


def target_of(url: str) -> Target:
    """The URL, taken apart.

    Raises:
        InvalidInputError: it is no http or https URL.
    """
    try:
        parsed = parse_url(url)
    except LocationValueError as error:
        raise InvalidInputError(f"{url[:200]!r} is not a URL that can be fetched") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise InvalidInputError(f"{url[:200]!r} is not an http or https URL with a host")
    return Target(parsed, parsed._replace(auth=None).url[:200])


def redirected(target: Target, response: BaseHTTPResponse) -> Target:
    """Where a redirect leads.

    Raises:
        UnavailableError: to something that is no http or https URL, or from https to http.
    """
    location = response.headers.get("Location", "")
    try:
        found = target_of(urljoin(target.url.url, location))
    except (InvalidInputError, ValueError) as error:
        raise UnavailableError(
            f"{target.shown} redirects to {location[:200]!r}, which is refused"
        ) from error
    if (target.url.scheme, found.url.scheme) == ("https", "http"):
        raise UnavailableError(
            f"{target.shown} redirects from https to {found.shown}, which is refused"
        )
    return found


@contextmanager
def exchange(message: Message, target: Target, deadline: float) -> Iterator[Exchange]:
    """One request, and its answer with the body unread; all of it within the deadline."""
    with failures(target, deadline):
        connection = _connected(target, deadline)
    with contextlib.closing(connection), _cut_off(connection, deadline) as (cut, stop_deadline):
        with failures(target, deadline):
            connection.request(
                message.method,
                target.url.request_uri,
                body=message.body,
                headers=message.headers,
                preload_content=False,
                decode_content=False,
            )
            response = connection.getresponse()
            check_deadline(deadline)
        with contextlib.closing(response):
            yield Exchange(response, cut, stop_deadline)


def check_deadline(deadline: float) -> None:
    """A connection that was cut off can look like the end of a body."""
    if time.monotonic() >= deadline:
        raise TimeoutError


@contextmanager
def failures(target: Target, deadline: float) -> Iterator[None]:
    """Say what the block's network failure means, as a sentence about the target."""
    try:
        yield
    except _FAILURES as error:
        if time.monotonic() >= deadline:
            raise UnavailableError(f"{target.shown} did not answer in time") from error
        raise UnavailableError(f"{target.shown} cannot be fetched: {reason(error)}") from error


def reason(error: Exception) -> str:
    """The innermost cause in its own words, without the addresses of objects."""
    cause = error.__cause__ or error.__context__ or error
    for each in (error, cause):
        if isinstance(each, ssl.SSLCertVerificationError):
            return (
                f"its certificate is not trusted ({each.verify_message});"
                " SSL_CERT_FILE can name a file with the authority that signed it"
            )
    text = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return str(text)[:200]


def _connected(target: Target, deadline: float) -> HTTPConnection:
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
def _cut_off(
    connection: HTTPConnection, deadline: float
) -> Iterator[tuple[Callable[[], None], Callable[[], None]]]:
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
        yield cut, timer.cancel
    finally:
        timer.cancel()

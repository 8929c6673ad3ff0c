"""One HTTP exchange with another host, and what its failures are called."""

from __future__ import annotations

import contextlib
import http.client
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urljoin

from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError, LocationValueError
from urllib3.util import Url, parse_url

from bty_app.errors import InvalidInputError, UnavailableError
from bty_app.upstream.connect import Dialer, NameServerError

CHUNK_BYTES = 64 * 1024

# ValueError: a host that no resolver takes (UnicodeError), or a header that is no number.
FAILURES = (HTTPError, http.client.HTTPException, OSError, ValueError)
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart; `bare` is without credentials and fragment, `shown` also short."""

    url: Url
    bare: str
    shown: str

    @property
    def place(self) -> tuple[str, str, int]:
        """Scheme, host without brackets, and port: where to connect."""
        scheme = self.url.scheme or ""
        host = (self.url.host or "").removeprefix("[").removesuffix("]")
        return scheme, host, _PORTS[scheme] if self.url.port is None else self.url.port

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

    target: Target
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
    shown = parsed._replace(auth=None)
    return Target(parsed, shown._replace(fragment=None).url, shown.url[:200])


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
def exchange(
    dialer: Dialer, message: Message, target: Target, deadline: float
) -> Iterator[Exchange]:
    """One request, and its answer with the body unread; all of it within the deadline."""
    with contextlib.ExitStack() as closing:
        with failures(target, deadline):
            line = closing.enter_context(dialer.line(*target.place, deadline))
            proxied = line.proxy.headers if line.proxy else {}
            line.connection.request(
                message.method,
                target.bare if line.proxy else target.url.request_uri,
                body=message.body,
                headers={**message.headers, **proxied},
                preload_content=False,
                decode_content=False,
            )
            response = line.connection.getresponse()
            closing.callback(response.close)
            check_deadline(deadline)
        yield Exchange(target, response, line.cut, line.stop_deadline)


def check_deadline(deadline: float) -> None:
    """A connection that was cut off can look like the end of a body."""
    if time.monotonic() >= deadline:
        raise TimeoutError


@contextmanager
def failures(target: Target, deadline: float) -> Iterator[None]:
    """Say what the block's network failure means, as a sentence about the target."""
    try:
        yield
    except FAILURES as error:
        if time.monotonic() >= deadline and not isinstance(error, NameServerError):
            raise UnavailableError(f"{target.shown} did not answer in time") from error
        raise UnavailableError(f"{target.shown} cannot be fetched: {reason(error)}") from error


def reason(error: Exception) -> str:
    """The innermost cause in its own words, without the addresses of objects."""
    cause: BaseException = error
    if isinstance(error, HTTPError):
        cause = error.__cause__ or error.__context__ or error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted ({cause.verify_message});"
            " SSL_CERT_FILE can name a file with the authority that signed it"
        )
    text = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return str(text)[:200]

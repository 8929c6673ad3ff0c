"""OCI registries: from a tag to the digest, size and address of an image (CONTRACT 8.5).

Boxes hold no credentials, so an image they flash must be readable without; a catalog need not be.
"""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import quote, urlencode, urlsplit

from bty_app.domain.challenge import Challenge, parse_challenge
from bty_app.domain.json_bounds import object_of
from bty_app.domain.oci import (
    ACCEPT,
    MAX_METADATA_BYTES,
    Layer,
    Reference,
    image_layer,
    is_index,
    manifest_for,
    parse_document,
    parse_reference,
)
from bty_app.errors import InvalidInputError, NotFoundError, TooLargeError, UnavailableError
from bty_app.upstream.http import Answer, Http, Request, declared_size

ATTEMPTS = 3
PAUSES = (0.5, 1.0)
TOKEN_SECONDS = (10.0, 60.0, 3600.0)  # the least, where nothing is said, the most
MAX_TOKENS = 256
MAX_TOKEN_CHARS = 16 * 1024

_ADVICE = (
    "registry.credentials can name a login for it; machines have none, and flash what can be read"
    " without, or is in the cache"
)

_AGAIN = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Login:
    """For one registry, and for the token server that it names."""

    user: str
    password: str = field(repr=False)

    @property
    def header(self) -> str:
        """HTTP Basic (RFC 7617)."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a source means now. `digest` is the layer's SHA-256, 64 hex digits."""

    reference: Reference
    digest: str
    size: int | None
    title: str | None
    format: str | None
    blob_url: str


_NONE: Mapping[str, Login] = MappingProxyType({})


class Registry:
    """Asks registries. Any thread may call."""

    def __init__(
        self,
        http: Http,
        *,
        logins: Mapping[str, Login] = _NONE,
        plain_http: frozenset[str] = frozenset(),
        arch: str = "amd64",
        steady: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Those of `plain_http` are spoken to without TLS; `arch` is taken of an index."""
        self._http = http
        self._logins = logins
        self._plain_http = plain_http
        self._arch = arch
        self._steady = steady
        self._pause = pause
        self._lock = threading.Lock()
        self._tokens: dict[tuple[str, str], tuple[str, float]] = {}

    def resolve(self, src: str, *, arch: str | None = None, seconds: float = 10.0) -> Resolved:
        """What `src` means now: a tag's image layer, or the layer that a digest names.

        Raises:
            InvalidInputError: no such source, or the registry's answer makes no sense.
            NotFoundError: the registry does not have it.
            TooLargeError, UnavailableError: no such answer within `seconds`.
        """
        reference = parse_reference(src)
        deadline = self._steady() + seconds
        if reference.digest is not None:
            return self._of_digest(reference, deadline)
        layer = self._layer(reference, arch or self._arch, deadline)
        blob = self._blob_url(reference, layer.digest)
        return Resolved(reference, layer.sha256, layer.size, layer.title, layer.format, blob)

    def fetch(self, src: str, *, limit: int, seconds: float) -> bytes:
        """The bytes of the layer that `src` means now, their digest checked.

        Raises:
            As `resolve`.
        """
        deadline = self._steady() + seconds
        found = self.resolve(src, seconds=seconds)
        if (found.size or 0) > limit:
            raise TooLargeError(f"{found.blob_url} is larger than {limit // 1024} KiB")
        answer = self._ask(found.reference, "GET", found.blob_url, limit, deadline)
        _check_digest(answer.body, f"sha256:{found.digest}", found.blob_url)
        return answer.body

    def blob_headers(self, resolved: Resolved) -> Mapping[str, str]:
        """What to ask for the blob with, for as long as its token is good: resolve again then."""
        return _with({}, self._known_token(resolved.reference))

    # -- manifests -----------------------------------------------------------------------------

    def _of_digest(self, reference: Reference, deadline: float) -> Resolved:
        url = self._blob_url(reference, reference.digest or "")
        answer = self._ask(reference, "HEAD", url, 0, deadline)
        sha = (reference.digest or "").removeprefix("sha256:")
        return Resolved(reference, sha, declared_size(answer.headers), None, None, url)

    def _layer(self, reference: Reference, arch: str, deadline: float) -> Layer:
        wanted = reference.tag or ""
        for _depth in range(2):  # an index may not list another one
            url = f"{self._base(reference.host)}/v2/{reference.repository}/manifests/{wanted}"
            answer = self._ask(reference, "GET", url, MAX_METADATA_BYTES, deadline)
            told = answer.headers.get("Docker-Content-Digest")
            for digest in (told, wanted):
                if digest and digest.startswith("sha256:"):
                    _check_digest(answer.body, digest, url)
            document = parse_document(answer.body)
            if not is_index(document, answer.headers.get("Content-Type", "")):
                return image_layer(document)
            wanted = manifest_for(document, arch)
        raise InvalidInputError(f"{reference.host}: an index lists an index")

    def _blob_url(self, reference: Reference, digest: str) -> str:
        return f"{self._base(reference.host)}/v2/{reference.repository}/blobs/{digest}"

    def _base(self, host: str) -> str:
        return f"{'http' if host in self._plain_http else 'https'}://{host}"

    # -- asking --------------------------------------------------------------------------------

    def _ask(
        self, reference: Reference, method: str, url: str, limit: int, deadline: float
    ) -> Answer:
        """A success; with a login or a token once the registry asks for one."""
        headers = {"Accept": ACCEPT} if "/manifests/" in url else {}
        known = self._known_token(reference)
        answer = self._tried(Request(url, method, _with(headers, known)), limit, deadline)
        if answer.status == 401:
            self._forget(reference)
            given = self._authorization(reference, answer, deadline)
            answer = self._tried(Request(url, method, _with(headers, given)), limit, deadline)
        if answer.status == 404:
            raise NotFoundError(f"{answer.url} is not in the registry")
        if answer.status in (401, 403):
            raise UnavailableError(
                f"{reference.host} refuses {reference.repository} ({answer.status}): {_ADVICE}"
            )
        if answer.status != 200:
            raise UnavailableError(f"{answer.url} answers {answer.status}, not 200")
        return answer

    def _tried(self, request: Request, limit: int, deadline: float) -> Answer:
        """The answer, after up to two more tries at a server that is busy or away."""
        for attempt in range(ATTEMPTS):
            remaining = deadline - self._steady()
            last = attempt == ATTEMPTS - 1 or remaining <= PAUSES[attempt]
            try:
                answer = self._http.ask(request, limit=limit, seconds=max(remaining, 0.001))
            except UnavailableError:
                if last:
                    raise
            else:
                if last or answer.status not in _AGAIN:
                    return answer
            self._pause(PAUSES[attempt])
        raise AssertionError("the last attempt returns or raises")

    # -- authorization -------------------------------------------------------------------------

    def _known_token(self, reference: Reference) -> str | None:
        with self._lock:
            value, until = self._tokens.get((reference.host, reference.repository), ("", 0.0))
        return value if value and self._steady() < until else None

    def _forget(self, reference: Reference) -> None:
        with self._lock:
            self._tokens.pop((reference.host, reference.repository), None)

    def _keep(self, reference: Reference, value: str, seconds: float) -> None:
        with self._lock:
            if len(self._tokens) >= MAX_TOKENS:
                self._tokens.clear()
            self._tokens[reference.host, reference.repository] = (value, self._steady() + seconds)

    def _authorization(self, reference: Reference, answer: Answer, deadline: float) -> str:
        challenge = parse_challenge(answer.headers.get("WWW-Authenticate"))
        login = self._logins.get(reference.host)
        if challenge is not None and not challenge.bearer:
            if login is None:
                raise UnavailableError(f"{reference.host} wants a login: {_ADVICE}")
            self._keep(reference, login.header, TOKEN_SECONDS[1])
            return login.header
        url = self._token_url(reference, challenge)
        headers = {"Authorization": login.header} if login else {}
        found = self._tried(Request(url, headers=headers), MAX_METADATA_BYTES, deadline)
        token, seconds = _token(found, reference.host)
        self._keep(reference, f"Bearer {token}", seconds)
        return f"Bearer {token}"

    def _token_url(self, reference: Reference, challenge: Challenge | None) -> str:
        """Where the registry gives tokens; over TLS, but for a registry that has none itself."""
        realm = challenge.realm if challenge else f"{self._base(reference.host)}/token"
        kind = urlsplit(realm).scheme
        if kind != "https" and not (kind == "http" and reference.host in self._plain_http):
            raise UnavailableError(
                f"{reference.host} names a token server that is refused: {realm[:200]!r}"
            )
        service = challenge.service if challenge else reference.host
        pull = f"repository:{reference.repository}:pull"
        scope = (challenge.scope if challenge else None) or pull
        asked = {"service": service, "scope": scope}
        query = urlencode({k: v for k, v in asked.items() if v}, quote_via=quote)
        return f"{realm}{'&' if '?' in realm else '?'}{query}"


def _with(headers: Mapping[str, str], authorization: str | None) -> dict[str, str]:
    return {**headers, **({"Authorization": authorization} if authorization else {})}


def _token(answer: Answer, host: str) -> tuple[str, float]:
    without = f"the token server of {host} answers {answer.status}, without token"
    if answer.status != 200:
        raise UnavailableError(without)
    try:
        document = object_of(answer.body)
    except InvalidInputError as error:
        raise UnavailableError(without) from error
    token = document.get("token") or document.get("access_token")
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise UnavailableError(f"the token server of {host} gives no token")
    if len(token) > MAX_TOKEN_CHARS:
        raise UnavailableError(f"the token server of {host} gives a token of {len(token)} bytes")
    least, usual, most = TOKEN_SECONDS
    told = document.get("expires_in")
    seconds = float(told) if type(told) is int else usual
    return token, min(max(seconds, least), most) * 0.9


def _check_digest(data: bytes, digest: str, url: str) -> None:
    found = f"sha256:{hashlib.sha256(data).hexdigest()}"
    if found != digest:
        raise InvalidInputError(f"{url} is not what its digest says: {found}, not {digest}")

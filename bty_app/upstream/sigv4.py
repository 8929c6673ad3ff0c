"""AWS signature version 4: a request that says who sends it (AWS General Reference, SigV4; S3 API,
"Signature Calculations for the Authorization Header").
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote

ALGORITHM = "AWS4-HMAC-SHA256"
_UNRESERVED = "-_.~"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who asks, and its secret."""

    access_key: str
    secret_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Scope:
    """What a signature is good for: a day of one service in one region."""

    moment: datetime
    region: str
    service: str = "s3"

    @property
    def stamp(self) -> str:
        """The second: 20130524T000000Z."""
        return self.moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")

    @property
    def text(self) -> str:
        """The scope as it is signed."""
        return f"{self.stamp[:8]}/{self.region}/{self.service}/aws4_request"


def quoted(text: str, *, safe: str = "") -> str:
    """`text` as a part of a path or a query: RFC 3986, upper-case hexadecimal."""
    return quote(text, safe=_UNRESERVED + safe)


def query_text(query: Mapping[str, str]) -> str:
    """The query, in the order that is signed and sent."""
    pairs = sorted((quoted(key), quoted(value)) for key, value in query.items())
    return "&".join(f"{key}={value}" for key, value in pairs)


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A request: `path` is quoted already, `headers` are all those that count."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    sha256: str

    @property
    def signed_headers(self) -> str:
        """The names of the headers."""
        return ";".join(sorted(name.lower() for name in self.headers))

    @property
    def canonical(self) -> str:
        """The canonical request."""
        rows = {name.lower(): " ".join(value.split()) for name, value in self.headers.items()}
        headers = "".join(f"{name}:{rows[name]}\n" for name in sorted(rows))
        query = query_text(self.query)
        parts = (self.method, self.path, query, headers, self.signed_headers, self.sha256)
        return "\n".join(parts)


def signing_key(credentials: Credentials, scope: Scope) -> bytes:
    """The key of a day."""
    key = f"AWS4{credentials.secret_key}".encode()
    for part in scope.text.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def authorization(request: Unsigned, credentials: Credentials, scope: Scope) -> str:
    """The value of the header Authorization."""
    digest = hashlib.sha256(request.canonical.encode()).hexdigest()
    text = "\n".join((ALGORITHM, scope.stamp, scope.text, digest))
    signature = hmac.new(signing_key(credentials, scope), text.encode(), hashlib.sha256)
    return (
        f"{ALGORITHM} Credential={credentials.access_key}/{scope.text},"
        f"SignedHeaders={request.signed_headers},Signature={signature.hexdigest()}"
    )

"""What a WWW-Authenticate header asks for (RFC 9110 11.6.1; the distribution's token flow)."""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_CHARS = 4096

_SCHEME = re.compile(r"\s*(Bearer|Basic)(?:\s+|$)", re.IGNORECASE | re.ASCII)
_PARAMETER = re.compile(
    r'\s*([A-Za-z_-]{1,32})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))\s*(?:,|$)', re.ASCII
)


@dataclass(frozen=True, slots=True)
class Challenge:
    """Basic wants a login; Bearer a token that the server at `realm` gives."""

    bearer: bool
    realm: str
    service: str | None = None
    scope: str | None = None


def parse_challenge(header: str | None) -> Challenge | None:
    """The challenge, or None where there is none that can be met."""
    scheme = _SCHEME.match(header) if header and len(header) <= MAX_CHARS else None
    if not header or not scheme:
        return None
    fields: dict[str, str] = {}
    position = scheme.end()
    while found := _PARAMETER.match(header, position):
        value = re.sub(r"\\(.)", r"\1", found[2]) if found[2] is not None else found[3]
        fields.setdefault(found[1].lower(), value)
        position = found.end()
    bearer = scheme[1].lower() == "bearer"
    if bearer and not fields.get("realm"):
        return None
    return Challenge(bearer, fields.get("realm", ""), fields.get("service"), fields.get("scope"))

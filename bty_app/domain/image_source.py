"""Where an image comes from: one spelling for each source, and the ref that is its identity.

The canonical spelling decides what machines are bound to, in our database and in every archive
of it, so it is computed here by hand: the standard library's URL parser changes its mind
between Python versions.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import unicodedata
from typing import NewType

from bty_app.errors import InvalidInputError

ImageRef = NewType("ImageRef", str)

MAX_SRC_CHARS = 4096
IMAGE_REF = re.compile(r"[0-9a-f]{64}", re.ASCII)

_DEFAULT_PORTS = {"http": 80, "https": 443}
_SCHEME = re.compile(r"(https?|oras|file)://", re.ASCII | re.IGNORECASE)
# RFC 3986 appendix B, behind the scheme
_PARTS = re.compile(r"(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?(?:#(.*))?")
_DROPPED = str.maketrans("", "", "\t\r\n")  # what the WHATWG URL rules remove anywhere
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_ORAS = re.compile(
    r"oras://[a-z0-9.-]+(?::[0-9]{1,5})?(?:/[a-z0-9._-]+){2,}"
    r"(?::[A-Za-z0-9._-]+|@sha256:[0-9a-f]{64})",
    re.ASCII,
)
_FUTURE_ADDRESS = re.compile(r"v[0-9a-f]+\..+", re.ASCII)


def image_ref(src: str) -> ImageRef:
    """The identity of the image at `src`: SHA-256 of its canonical spelling, 64 hex digits.

    Raises:
        InvalidInputError: `src` names no source that we know (CONTRACT 8.2).
    """
    return ImageRef(hashlib.sha256(canonical_src(src).encode()).hexdigest())


def canonical_src(src: str) -> str:
    """The one spelling of `src` (CONTRACT 8.2). It is an identity, not a URL to open.

    Raises:
        InvalidInputError: not an http, https, oras or file source, or a malformed one.
    """
    if len(src) > MAX_SRC_CHARS:
        raise InvalidInputError(f"image source is longer than {MAX_SRC_CHARS} characters")
    _check_characters(src)
    scheme = _SCHEME.match(src)
    if not scheme:
        raise _bad(src, "it must start with http://, https://, oras:// or file://")
    kind, rest = scheme.group(1).lower(), src[scheme.end() :]
    if kind == "oras":
        return _canonical_oras(src)
    if kind == "file":
        return _canonical_file(src, rest)
    return _canonical_http(src, kind, rest.translate(_DROPPED))


def is_http(src: str) -> bool:
    """Whether `src` is fetched over HTTP or HTTPS."""
    return src[:8].lower().startswith(("http://", "https://"))


def is_registry(src: str) -> bool:
    """Whether an OCI registry has it."""
    return src[:7].lower() == "oras://"


def basename(src: str) -> str:
    """The last segment of the path of an http(s) source as it is written; may be empty."""
    scheme = _SCHEME.match(src)
    rest = src[scheme.end() :] if scheme else src
    return _split(rest.translate(_DROPPED))[1].rpartition("/")[2]


def without_credentials(src: str) -> str:
    """`src` without a user name and password, for people, logs and the audit."""
    if not is_http(src):
        return src
    head, rest = src.split("//", 1)
    authority = _split(rest)[0]
    return f"{head}//{authority.rpartition('@')[2]}{rest[len(authority) :]}"


def _bad(src: str, why: str) -> InvalidInputError:
    shown = without_credentials(src)[:200]
    return InvalidInputError(f"invalid image source {shown!r}: {why}")


def _check_characters(src: str) -> None:
    if _CONTROL.search(src):
        raise _bad(src, "it has control characters")
    try:
        src.encode()
    except UnicodeEncodeError as error:
        raise _bad(src, "it is not valid Unicode text") from error


# -- http and https ----------------------------------------------------------------------------


def _split(rest: str) -> tuple[str, str, str, str]:
    """Authority, path, query and fragment of what follows `scheme://`."""
    match = _PARTS.fullmatch(rest)
    if not match:  # a line separator in the fragment: the rest is no URL that anybody can open
        return rest, "", "", ""
    authority, path, query, fragment = match.groups(default="")
    return authority, path, query, fragment


def _canonical_http(src: str, scheme: str, rest: str) -> str:
    authority, path, query, fragment = _split(rest)
    host, port = _host_and_port(src, authority)
    shown_port = "" if port in (None, _DEFAULT_PORTS[scheme]) else f":{port}"
    shown_query = f"?{query}" if query else ""
    shown_fragment = f"#{fragment}" if fragment else ""
    return f"{scheme}://{host}{shown_port}{path}{shown_query}{shown_fragment}"


def _host_and_port(src: str, authority: str) -> tuple[str, int | None]:
    """Host in lower case, IPv6 brackets lost as in every existing ref, and the port if any."""
    _check_lookalikes(src, authority)
    where = authority.rpartition("@")[2]
    if "[" in authority or "]" in authority:
        host, port = _bracketed(src, where)
    else:
        host, _, port = where.partition(":")
        host = host.lower()
    if not host:
        raise _bad(src, "it has no host")
    return host, _port(src, port)


def _bracketed(src: str, where: str) -> tuple[str, str]:
    match = re.fullmatch(r"\[([^\[\]]*)\](?::(.*))?", where)
    if not match:
        raise _bad(src, "the brackets around its address do not match")
    address, port = match.group(1), match.group(2) or ""
    name, percent, zone = address.partition("%")
    try:
        if not _FUTURE_ADDRESS.fullmatch(address.lower()):
            ipaddress.IPv6Address(name)
    except ValueError as error:
        raise _bad(src, "what stands in brackets is no IPv6 address") from error
    return f"{name.lower()}{percent}{zone}", port


def _port(src: str, text: str) -> int | None:
    if not text:
        return None
    digits = text.lstrip("0") or "0"
    if not (text.isascii() and text.isdigit()) or len(digits) > 5 or int(digits) > 65535:
        raise _bad(src, f"its port {text[:20]!r} is not a number from 0 to 65535")
    return int(digits)


def _check_lookalikes(src: str, authority: str) -> None:
    """Refuse characters that turn into separators when a program normalises the host."""
    if authority.isascii():
        return
    plain = re.sub("[@:#?]", "", authority)
    normal = unicodedata.normalize("NFKC", plain)
    if normal != plain and any(mark in normal for mark in "/?#@:"):
        raise _bad(src, "its host has characters that look like separators")


# -- oras and file -----------------------------------------------------------------------------


def _canonical_oras(src: str) -> str:
    mark = "@" if "@" in src else ":"
    name, _, version = src.rpartition(mark)
    canonical = f"{name.lower()}{mark}{version}"
    if not src.isascii() or not _ORAS.fullmatch(canonical):
        raise _bad(
            src, "write oras://host[:port]/owner/name:tag, or …/name@sha256: and 64 hex digits"
        )
    return canonical


def _canonical_file(src: str, path: str) -> str:
    segments = [segment for segment in path.split("/") if segment not in ("", ".")]
    if ".." in segments:
        raise _bad(src, "a path with '..' is refused")
    if not segments:
        raise _bad(src, "it has no path")
    return "file://" + "/".join(segments)

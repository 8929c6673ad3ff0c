"""Where the netboot artifacts of a release are: a repository, a mirror, or a directory."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bty_app.errors import InvalidInputError

LATEST = "latest"  # of this program, not of the repository: its own version (CONTRACT 9)

TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+", re.ASCII)
_HTTP = re.compile(r"https?://[^\s?#]+", re.ASCII | re.IGNORECASE)
# The address of a release page, of its downloads, or of the list of releases.
_PAGE = re.compile(
    r"(?P<repository>https?://[^/\s]+/[^/\s]+/[^/\s]+)/releases"
    r"(?:/(?:tag|download)(?:/(?P<tag>[^/\s]+))?|/latest(?:/download)?)?",
    re.ASCII | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Release:
    """The places where the files of `version` may be, best first. `is_local`: directories."""

    version: str
    tag: str
    places: tuple[str, ...]
    is_local: bool = False


def check_source(text: str) -> str:
    """`text`, where it can be a source of netboot artifacts.

    Raises:
        ValueError: the rule that it breaks.
    """
    plain = text.strip()
    if len(plain) > 1024 or not plain.isprintable():
        raise ValueError("at most 1024 printable characters")
    if not (_REPOSITORY.fullmatch(plain) or _HTTP.fullmatch(plain) or _path(plain)):
        raise ValueError("owner/repository, an http or https URL, or the path of a directory")
    return plain


def check_tag(text: str) -> str:
    """`text`, where it can be the tag of a release.

    Raises:
        ValueError: the rule that it breaks.
    """
    if not TAG.fullmatch(text):
        raise ValueError("letters, digits, and . _ - behind the first, at most 64")
    return text


def release_of(source: str, tag: str, *, running: str) -> Release:
    """The release `tag` at `source`.

    Raises:
        InvalidInputError: `source` or `tag` cannot be one.
    """
    try:
        place, wanted = check_source(source), check_tag(tag or LATEST)
    except ValueError as error:
        raise InvalidInputError(f"{source[:80]!r}, {tag[:80]!r}: must be {error}") from error
    if wanted == LATEST:
        wanted = f"v{running}"
    version = wanted.removeprefix("v")
    path = _path(place)
    if path:
        base = path.rstrip("/") or "/"
        return Release(version, wanted, (f"{base}/{wanted}", base), is_local=True)
    if _REPOSITORY.fullmatch(place):
        place = f"https://github.com/{place}/releases"
    page = _PAGE.fullmatch(place.rstrip("/"))
    if not page:
        base = place.rstrip("/")
        return Release(version, wanted, (f"{base}/{wanted}", base))
    if page["tag"]:  # the address of one release: it says which
        wanted = check_tag_of(page["tag"])
    base = f"{page['repository']}/releases/download/{wanted}"
    return Release(wanted.removeprefix("v"), wanted, (base,))


def check_tag_of(text: str) -> str:
    """The tag in the address of a release page.

    Raises:
        InvalidInputError: it cannot be one.
    """
    try:
        return check_tag(text)
    except ValueError as error:
        raise InvalidInputError(f"{text[:80]!r} is no tag: {error}") from error


def _path(text: str) -> str | None:
    """The path of a directory: absolute, or as a file URL."""
    path = text[7:] if text[:7].lower() == "file://" else text
    return path if path.startswith("/") else None

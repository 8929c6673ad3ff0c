"""Where a client gets the bytes of an image, and which bytes they must be."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.image_source import is_registry


class Place(StrEnum):
    """What kind of place serves the bytes."""

    CACHE = "cache"
    MIRROR = "mirror"
    ORIGIN = "origin"


@dataclass(frozen=True, slots=True)
class Source:
    """One place to get an image from."""

    place: Place
    url: str


@dataclass(frozen=True, slots=True)
class Cached:
    """What is known of the cache: `url` where it has these very bytes, else None.

    `hit` is None when no cache is configured, or when it did not say.
    """

    configured: bool = False
    hit: bool | None = None
    url: str | None = None


NO_CACHE = Cached()


@dataclass(frozen=True, slots=True)
class Target:
    """The image that a machine is bound to, as far as its plan needs it.

    `url` is for clients that know one place only; `sources` is every place, best first.
    """

    ref: str
    name: str
    url: str
    sha256: str | None = None
    format: str | None = None
    sources: tuple[Source, ...] = ()
    cached: Cached = NO_CACHE


def target(entry: CatalogEntry, cached: Cached = NO_CACHE) -> Target:
    """What a plan says of the image (CONTRACT 3.4)."""
    places = sources(entry, cached)
    return Target(
        ref=entry.bty_image_ref,
        name=entry.name,
        url=cached.url or _contract_url(entry),
        sha256=entry.disk_image_sha,
        format=entry.format,
        sources=places,
        cached=cached,
    )


def sources(entry: CatalogEntry, cached: Cached) -> tuple[Source, ...]:
    """Every place that has the image: the cache, the mirrors in their order, the origin."""
    found = [Source(Place.CACHE, cached.url)] if cached.url else []
    found += [Source(Place.MIRROR, url) for url in entry.mirrors]
    return (*found, Source(Place.ORIGIN, _pinned(entry)))


def is_rolling(entry: CatalogEntry) -> bool:
    """Whether its source can mean other bytes tomorrow, and says which ones it means now."""
    if is_registry(entry.src):
        return "@sha256:" not in entry.src
    return entry.sha_url is not None


def _contract_url(entry: CatalogEntry) -> str:
    """A registry reference as it stands, for the client resolves it itself; else a URL."""
    return entry.src if is_registry(entry.src) else (entry.resolved_src or entry.src)


def _pinned(entry: CatalogEntry) -> str:
    """The origin; a tag is replaced by the digest that it means in this plan.

    A client takes every registry for one with TLS, so of one without it gets the URL of the bytes.
    """
    if not (is_registry(entry.src) and entry.disk_image_sha):
        return _contract_url(entry)
    blob = entry.resolved_src or ""
    if blob.startswith("http://") and blob.endswith(f"/blobs/sha256:{entry.disk_image_sha}"):
        return blob
    if not is_rolling(entry):
        return _contract_url(entry)
    name = entry.src.rpartition(":")[0]
    return f"{name}@sha256:{entry.disk_image_sha}"

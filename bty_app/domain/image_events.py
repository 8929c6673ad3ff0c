"""The audit rows of images whose source or cache was asked what it has now."""

from __future__ import annotations

from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.catalog_events import plain
from bty_app.domain.events import Actor, Event, Kind, Subject
from bty_app.errors import BtyError


def refreshed(before: CatalogEntry, now: CatalogEntry) -> Event:
    """The source serves other bytes than were known."""
    fields = ("disk_image_sha", "size_bytes")
    known = before.disk_image_sha is not None
    what = "its source serves another image now" if known else "its digest is known now"
    return Event(
        Kind.CATALOG_ENTRY_REFRESHED,
        Actor.SYSTEM,
        f"{plain(now.name)}: {what}",
        Subject("catalog", plain(now.src)),
        details={
            "name": now.name,
            "bty_image_ref": now.bty_image_ref,
            **{f: {"old": getattr(before, f), "new": getattr(now, f)} for f in fields},
        },
    )


def resolve_failed(entry: CatalogEntry, error: BtyError) -> Event:
    """The source does not say what it serves: plans are made of what is stored."""
    return Event(
        Kind.CATALOG_ENTRY_RESOLVE_FAILED,
        Actor.SYSTEM,
        f"{plain(entry.name)}: its source does not answer: {plain(error.message)}",
        Subject("catalog", plain(entry.src)),
        details={
            "name": entry.name,
            "error": plain(error.message),
            "planned_with": entry.disk_image_sha,
        },
    )


def cache_failed(base: str, error: BtyError) -> Event:
    """The image cache does not answer: images come from their origin."""
    return Event(
        Kind.WITHCACHE_FAILED,
        Actor.SYSTEM,
        f"the image cache does not answer, images come from their origin: {plain(error.message)}",
        Subject("withcache", plain(base)),
        details={"error": plain(error.message)},
    )


def cache_recovered(base: str) -> Event:
    """It answers again."""
    return Event(
        Kind.WITHCACHE_RECOVERED,
        Actor.SYSTEM,
        "the image cache answers again",
        Subject("withcache", plain(base)),
    )


def warmed(entry: CatalogEntry, sha256: str, size_bytes: int | None) -> Event:
    """The cache has the image, with the bytes that the catalog names."""
    return Event(
        Kind.IMAGE_WARMED,
        Actor.OPERATOR,
        f"{plain(entry.name)} is in the cache",
        Subject("catalog", plain(entry.src)),
        details={"name": entry.name, "sha256": sha256, "size_bytes": size_bytes},
    )


def warm_failed(entry: CatalogEntry, error: BtyError) -> Event:
    """The cache does not have the image, or has other bytes."""
    return Event(
        Kind.IMAGE_WARM_FAILED,
        Actor.OPERATOR,
        f"{plain(entry.name)} is not in the cache: {plain(error.message)}",
        Subject("catalog", plain(entry.src)),
        details={"name": entry.name, "error": plain(error.message)},
    )

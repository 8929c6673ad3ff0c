"""The audit rows of images whose source or cache was asked what it has now."""

from __future__ import annotations

from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.catalog_events import plain
from bty_app.domain.events import Actor, Event, Kind, Subject
from bty_app.domain.withcache import Held
from bty_app.errors import BtyError


def refreshed(before: CatalogEntry, now: CatalogEntry) -> Event:
    """The source serves other bytes than were known."""
    known = before.disk_image_sha is not None
    what = "its source serves another image now" if known else "its digest is known now"
    changes = {
        field: {"old": getattr(before, field), "new": getattr(now, field)}
        for field in ("disk_image_sha", "size_bytes")
    }
    more = {"bty_image_ref": now.bty_image_ref, **changes}
    return _of(now, Actor.SYSTEM, Kind.CATALOG_ENTRY_REFRESHED, what, **more)


def resolve_failed(entry: CatalogEntry, error: BtyError) -> Event:
    """The source does not say what it serves: plans are made of what is stored."""
    why = plain(error.message)
    what = f"its source does not answer: {why}"
    more = {"error": why, "planned_with": entry.disk_image_sha}
    return _of(entry, Actor.SYSTEM, Kind.CATALOG_ENTRY_RESOLVE_FAILED, what, **more)


def warmed(entry: CatalogEntry, held: Held, by: Actor) -> Event:
    """The cache has the image, with the bytes that the catalog names."""
    what = "it is in the cache"
    more = {"sha256": held.sha256, "size_bytes": held.size_bytes}
    return _of(entry, by, Kind.IMAGE_WARMED, what, **more)


def warm_failed(entry: CatalogEntry, error: BtyError, by: Actor) -> Event:
    """The cache does not have the image, or has other bytes."""
    why = plain(error.message)
    what = f"it is not in the cache: {why}"
    return _of(entry, by, Kind.IMAGE_WARM_FAILED, what, error=why)


def cache_failed(base: str, error: BtyError) -> Event:
    """The image cache does not answer: images come from their origin."""
    why = plain(error.message)
    return Event(
        Kind.WITHCACHE_FAILED,
        Actor.SYSTEM,
        f"the image cache does not answer, images come from their origin: {why}",
        Subject("withcache", plain(base)),
        details={"error": why},
    )


def cache_recovered(base: str) -> Event:
    """It answers again."""
    summary = "the image cache answers again"
    return Event(Kind.WITHCACHE_RECOVERED, Actor.SYSTEM, summary, Subject("withcache", plain(base)))


def _of(entry: CatalogEntry, actor: Actor, kind: Kind, what: str, **more: object) -> Event:
    subject = Subject("catalog", plain(entry.src))
    summary = f"{plain(entry.name)}: {what}"
    return Event(kind, actor, summary, subject, details={"name": entry.name, **more})

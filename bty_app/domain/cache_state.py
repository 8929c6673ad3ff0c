"""What the cache has of an image, decided from what it told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.withcache import Held, Listed

LOOK_AGAIN_SECONDS = 300.0


class CacheKind(StrEnum):
    """Where an image stands with the cache."""

    NOT_CONFIGURED = "not configured"
    UNKNOWN = "unknown"
    COLD = "cold"
    WARMING = "warming"
    WARM = "warm"
    DIFFERS = "differs"
    AWAY = "away"


@dataclass(frozen=True, slots=True)
class CacheState:
    """`sha256` and `size_bytes` are of the bytes that the cache has; `url` is where they may be
    fetched, and set for a warm image alone.
    """

    kind: CacheKind
    sha256: str | None = None
    size_bytes: int | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What the cache at `base` told of itself; `answers` is None before it was asked.

    `listed` has what it names, by source; None for a generation that names nothing, and that
    begins to fetch what it is asked for and has not.
    """

    base: str = ""
    answers: bool | None = None
    listed: Mapping[str, Listed] | None = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Seen:
    """One look for an image, `at` seconds of a steady clock: the bytes that the cache has, and what
    it listed at that time. `is_fetched`: seen by who had it fetched, the list was not read.
    """

    at: float
    listed: Listed | None = None
    held: Held | None = None
    answered: bool = True
    is_fetched: bool = False


def state_of(entry: CatalogEntry, told: Told, seen: Seen | None, *, is_warming: bool) -> CacheState:
    """Where the image stands."""
    if not told.base:
        return CacheState(CacheKind.NOT_CONFIGURED)
    if told.answers is False:
        return CacheState(CacheKind.AWAY)
    known = _known(entry, told, seen)
    if is_warming and known.kind is not CacheKind.WARM:
        return CacheState(CacheKind.WARMING)
    return known


def is_due(entry: CatalogEntry, told: Told, seen: Seen | None, *, bound: bool, now: float) -> bool:
    """Whether to look for the image now.

    What nobody needs is never asked for where asking begins a fetch. An image that was missing is
    not asked for again before the cache lists it: who wants it there has it warmed.
    """
    if told.listed is None and not bound:
        return False
    listed = told.listed.get(entry.src) if told.listed else None
    if seen is None:
        return bound or listed is not None
    if seen.is_fetched or not seen.answered or seen.listed != listed:
        return True
    is_old = now - seen.at >= LOOK_AGAIN_SECONDS
    return is_old and (seen.held is not None or listed is not None)


def due(
    entries: Iterable[CatalogEntry],
    told: Told,
    seen: Mapping[str, Seen],
    *,
    bound: frozenset[str],
    now: float,
) -> list[CatalogEntry]:
    """The images to look for now: those first that were looked for longest ago."""

    def turn(entry: CatalogEntry) -> tuple[float, bool]:
        last = seen.get(entry.bty_image_ref)
        return (last.at if last else float("-inf"), entry.bty_image_ref not in bound)

    wanted = (
        entry
        for entry in entries
        if is_due(
            entry,
            told,
            seen.get(entry.bty_image_ref),
            bound=entry.bty_image_ref in bound,
            now=now,
        )
    )
    return sorted(wanted, key=turn)


def _known(entry: CatalogEntry, told: Told, seen: Seen | None) -> CacheState:
    listed = told.listed.get(entry.src) if told.listed else None
    if seen is None or not seen.answered:
        is_cold = seen is None and told.answers and told.listed is not None and listed is None
        return CacheState(CacheKind.COLD if is_cold else CacheKind.UNKNOWN)
    if seen.listed != listed and not seen.is_fetched:
        return CacheState(CacheKind.UNKNOWN)  # something has changed there
    if seen.held is None:
        return CacheState(CacheKind.COLD)
    held = seen.held
    if has_very_bytes(entry, held, listed):
        return CacheState(CacheKind.WARM, held.sha256, held.size_bytes, held.url)
    return CacheState(CacheKind.DIFFERS, held.sha256, held.size_bytes)


def has_very_bytes(entry: CatalogEntry, held: Held, listed: Listed | None = None) -> bool:
    """Whether the cache has what the catalog names: by digest, else when nothing contradicts."""
    if entry.disk_image_sha is not None:
        return held.sha256 == entry.disk_image_sha
    pairs = [(entry.size_bytes, held.size_bytes)]
    if listed is not None:
        pairs.append((listed.size_bytes, held.size_bytes))
    sizes_agree = all(None in pair or pair[0] == pair[1] for pair in pairs)
    declared = listed.sha256 if listed else None
    return sizes_agree and declared in (None, held.sha256)

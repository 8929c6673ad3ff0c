"""What the cache has of an image, by what it told; and when it is asked again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bty_app.domain.cache_state import (
    LOOK_AGAIN_SECONDS,
    CacheKind,
    CacheState,
    Seen,
    Told,
    due,
    state_of,
)
from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.image_source import ImageRef
from bty_app.domain.withcache import Held, Listed

BASE = "http://c.test"
SHA, OTHER = "a" * 64, "b" * 64
HELD = Held(f"{BASE}/b/x/x.img", SHA, 5)
ENTRY = CatalogEntry(ImageRef("1" * 64), "http://o.test/x.img", "x.img", "2026", disk_image_sha=SHA)
UNNAMED = replace(ENTRY, disk_image_sha=None)
ROW = Listed(SHA, 5)
LISTS = Told(BASE, True, {ENTRY.src: ROW})
LISTS_NOTHING = Told(BASE, True, {})
OLD = Told(BASE, True, None)
WARM = Seen(0.0, ROW, HELD)


@pytest.mark.parametrize(
    ("entry", "told", "seen", "kind"),
    [
        (ENTRY, Told(), WARM, CacheKind.NOT_CONFIGURED),
        (ENTRY, Told(BASE), None, CacheKind.UNKNOWN),
        (ENTRY, Told(BASE, False), WARM, CacheKind.AWAY),
        (ENTRY, LISTS, None, CacheKind.UNKNOWN),  # listed, and nobody has looked
        (ENTRY, LISTS_NOTHING, None, CacheKind.COLD),
        (ENTRY, OLD, None, CacheKind.UNKNOWN),
        (ENTRY, OLD, Seen(0.0), CacheKind.COLD),
        (ENTRY, OLD, Seen(0.0, held=HELD), CacheKind.WARM),
        (ENTRY, LISTS, WARM, CacheKind.WARM),
        (ENTRY, LISTS, Seen(0.0, ROW, answered=False), CacheKind.UNKNOWN),
        (ENTRY, LISTS_NOTHING, WARM, CacheKind.UNKNOWN),  # gone from the list since
        (ENTRY, LISTS_NOTHING, Seen(0.0, held=HELD, is_fetched=True), CacheKind.WARM),
        (ENTRY, LISTS, replace(WARM, held=None), CacheKind.COLD),
        (ENTRY, LISTS, replace(WARM, held=replace(HELD, sha256=OTHER)), CacheKind.DIFFERS),
        (replace(ENTRY, disk_image_sha=OTHER), LISTS, WARM, CacheKind.DIFFERS),
        (UNNAMED, LISTS, WARM, CacheKind.WARM),
        (replace(UNNAMED, size_bytes=5), LISTS, WARM, CacheKind.WARM),
        (replace(UNNAMED, size_bytes=6), LISTS, WARM, CacheKind.DIFFERS),
        (
            UNNAMED,
            Told(BASE, True, {ENTRY.src: Listed(OTHER, 5)}),
            replace(WARM, listed=Listed(OTHER, 5)),
            CacheKind.DIFFERS,  # it declares another digest than it has
        ),
        (
            UNNAMED,
            Told(BASE, True, {ENTRY.src: Listed(SHA, 6)}),
            replace(WARM, listed=Listed(SHA, 6)),
            CacheKind.DIFFERS,
        ),
    ],
)
def test_an_image_stands_as_the_cache_told(
    entry: CatalogEntry, told: Told, seen: Seen | None, kind: CacheKind
) -> None:
    state = state_of(entry, told, seen, is_warming=False)

    assert state.kind is kind
    assert (state.url is not None) == (kind is CacheKind.WARM)


@pytest.mark.parametrize(
    ("told", "seen", "kind"),
    [
        (LISTS_NOTHING, None, CacheKind.WARMING),
        (Told(BASE), None, CacheKind.WARMING),
        (LISTS, replace(WARM, held=replace(HELD, sha256=OTHER)), CacheKind.WARMING),
        (LISTS, WARM, CacheKind.WARM),
        (Told(BASE, False), None, CacheKind.AWAY),
        (Told(), None, CacheKind.NOT_CONFIGURED),
    ],
)
def test_a_job_under_way_is_shown_unless_there_is_more_to_say(
    told: Told, seen: Seen | None, kind: CacheKind
) -> None:
    assert state_of(ENTRY, told, seen, is_warming=True).kind is kind


def test_a_state_has_the_bytes_it_speaks_of() -> None:
    differs = replace(ENTRY, disk_image_sha=OTHER)

    warm = state_of(ENTRY, LISTS, WARM, is_warming=False)
    other = state_of(differs, LISTS, WARM, is_warming=False)

    assert warm == CacheState(CacheKind.WARM, SHA, 5, HELD.url)
    assert other == CacheState(CacheKind.DIFFERS, SHA, 5)


@pytest.mark.parametrize(
    ("told", "seen", "bound", "now", "wanted"),
    [
        (LISTS, None, False, 0.0, True),
        (LISTS, WARM, True, LOOK_AGAIN_SECONDS - 1, False),
        (LISTS, WARM, False, LOOK_AGAIN_SECONDS, True),
        (LISTS, replace(WARM, answered=False), False, 0.0, True),
        (LISTS_NOTHING, WARM, False, 0.0, True),
        (LISTS_NOTHING, None, False, 0.0, False),
        (LISTS_NOTHING, None, True, 0.0, True),
        (LISTS_NOTHING, Seen(0.0), True, 10**6, False),  # each miss is a row in its log
        (LISTS, Seen(0.0, ROW), False, LOOK_AGAIN_SECONDS, True),
        (LISTS_NOTHING, Seen(0.0, held=HELD, is_fetched=True), False, 0.0, True),
        (OLD, None, False, 0.0, False),  # asking would begin a fetch
        (OLD, Seen(0.0, held=HELD, is_fetched=True), False, 10**6, False),
        (OLD, None, True, 0.0, True),
        (OLD, Seen(0.0), True, 10**6, False),  # a failure is not tried again by looking
        (OLD, Seen(0.0, held=HELD), True, LOOK_AGAIN_SECONDS, True),
    ],
)
def test_an_image_is_looked_for_when_something_may_have_changed(
    told: Told, seen: Seen | None, bound: bool, now: float, wanted: bool
) -> None:
    ref = ENTRY.bty_image_ref
    known: dict[str, Seen] = {ref: seen} if seen else {}
    needed = frozenset([ref] if bound else [])

    assert due([ENTRY], told, known, bound=needed, now=now) == ([ENTRY] if wanted else [])


def test_who_waits_longest_comes_first_and_then_who_is_needed() -> None:
    entries = [
        replace(ENTRY, bty_image_ref=ImageRef(ref), src=f"http://o.test/{ref}") for ref in "abcd"
    ]
    told = Told(BASE, True, {entry.src: ROW for entry in entries})
    seen = {ref: replace(WARM, at=at) for ref, at in (("a", 9.0), ("b", 3.0))}

    found = due(entries, told, seen, bound=frozenset("d"), now=10**6)

    assert "".join(entry.bty_image_ref for entry in found) == "dcba"

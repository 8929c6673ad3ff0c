"""What following a catalog would change, and when that looks like a mistake."""

from __future__ import annotations

import pytest

from bty_app.domain.catalog import CatalogEntry, ManifestEntry
from bty_app.domain.catalog_diff import CatalogDiff, Offered, diff
from bty_app.domain.image_source import image_ref

UP = "https://up.test/catalog.toml"


def entry(name: str, *, gone: bool = False, upstream: str | None = UP) -> CatalogEntry:
    src = f"https://h/{name}"
    gone_at = "t" if gone else None
    return CatalogEntry(image_ref(src), src, name, "t", src, upstream=upstream, gone_at=gone_at)


def compared(known: list[CatalogEntry], listed: str, bound: str = "") -> CatalogDiff:
    """`listed` and `bound` are names of one letter."""
    images = [ManifestEntry(image_ref(f"https://h/{n}"), f"https://h/{n}", n) for n in listed]
    machines = {str(image_ref(f"https://h/{name}")): 1 for name in bound}
    return diff(known, Offered(UP, "0" * 64, images), machines, at="now")


@pytest.mark.parametrize(
    ("before", "listed", "bound", "shrinks"),
    [
        ("abcd", "ab", "", False),
        ("abcd", "a", "", True),
        ("abcd", "a", "bcd", True),
        ("abcd", "", "", True),
        ("abc", "", "", False),
        ("abcd", "wxyz", "", True),
    ],
)
def test_losing_more_than_half_of_four_or_more_looks_like_a_mistake(
    before: str, listed: str, bound: str, *, shrinks: bool
) -> None:
    assert compared([entry(name) for name in before], listed, bound).shrinks is shrinks


def test_what_was_gone_before_is_not_lost_again() -> None:
    known = [entry("a"), *(entry(name, gone=True) for name in "bcde")]

    assert not compared(known, "a", bound="bcde").shrinks
    assert not compared(known, "a").shrinks
    assert compared(known, "a", bound="bcde").is_empty
    assert not compared(known, "a").is_empty


def test_what_was_gone_before_does_not_hide_that_most_of_the_rest_goes() -> None:
    known = [*(entry(name) for name in "abcd"), *(entry(name, gone=True) for name in "vwxyz")]

    assert compared(known, "a", bound="vwxyz").shrinks


def test_only_what_came_from_there_is_gone() -> None:
    known = [entry("a", upstream=None), entry("b", upstream="https://other.test/c"), entry("c")]

    found = compared(known, "")

    assert [gone.name for gone in found.removed] == ["c"]
    assert found.followed == 1


def test_what_is_added_is_followed_and_what_was_known_keeps_its_owner() -> None:
    found = compared([entry("a", upstream=None)], "ab")

    assert [(new.name, new.upstream) for new in found.merge.added] == [("b", UP)]
    assert found.merge.kept == 1

"""Addresses in withcache."""

from __future__ import annotations

import pytest

from bty_app.domain.withcache import blob_url, entry_name, lists_what_it_has, place_in_cache
from tests.domain.test_image_source import VECTORS


@pytest.mark.parametrize("vector", VECTORS["withcache_blob_url"], ids=lambda v: v["url"][-40:])
def test_every_vector_of_the_contract_holds(vector: dict[str, str]) -> None:
    assert blob_url(vector["base"], vector["origin"]) == vector["url"]


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("debian.img.zst", "debian.img.zst-aaaaaaaaaaaa"),
        ("D\u00e9bian / x", "D-bian-x-aaaaaaaaaaaa"),
        ("../..", "aaaaaaaaaaaa"),
        ("x" * 300, "x" * 80 + "-aaaaaaaaaaaa"),
    ],
)
def test_an_image_has_a_name_in_the_cache_that_a_path_can_hold(name: str, called: str) -> None:
    assert entry_name(name, "a" * 64) == called


@pytest.mark.parametrize(
    ("version", "lists"),
    [
        *(("0.10.0", True), ("0.13.3", True), ("1.0", True), ("2.0.1rc1", True), ("0.10", True)),
        *(("0.9.1", False), ("0.8.10", False), ("", False), ("ok", False), ("0", False)),
        *(("0+unknown", False), ("9" * 99 + ".9", False), ("v0.13", False)),
    ],
)
def test_only_a_cache_that_is_known_to_list_what_it_has_is_believed(
    version: str, lists: bool
) -> None:
    assert lists_what_it_has(version) is lists


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://o.test/x.img?v=1", "http://o.test/x.img?v=2#y", True),
        ("HTTP://O.test/x.img", "http://o.test/x.img", True),
        ("http://o.test/x.img", "http://o.test/X.img", False),
        ("http://o.test/x.img", "https://o.test/x.img", False),
        ("oras://r.test/o/i:a", "oras://r.test/o/i:b", False),
        ("http://o.test", "http://o.test/", False),
    ],
)
def test_two_sources_of_one_place_share_their_bytes(one: str, other: str, same: bool) -> None:
    assert (place_in_cache(one) == place_in_cache(other)) is same

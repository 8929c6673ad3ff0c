"""Addresses in withcache."""

from __future__ import annotations

import pytest

from bty_app.domain.withcache import blob_url, entry_name
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

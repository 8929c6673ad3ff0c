"""Addresses in withcache."""

from __future__ import annotations

import pytest

from bty_app.domain.withcache import blob_url
from tests.domain.test_image_source import VECTORS


@pytest.mark.parametrize("vector", VECTORS["withcache_blob_url"], ids=lambda v: v["url"][-40:])
def test_every_vector_of_the_contract_holds(vector: dict[str, str]) -> None:
    assert blob_url(vector["base"], vector["origin"]) == vector["url"]

"""Where an image is fetched from, in which order, and what an older client is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.image_source import ImageRef, image_ref
from bty_app.domain.image_target import Cached, Place, Source, is_rolling, sources, target

SHA = "b" * 64
HTTP = CatalogEntry(ImageRef("a" * 64), "https://o.test/x.img", "x.img", "2026", format="img")
TAG = replace(HTTP, src="oras://R.test:5000/o/x:Latest", disk_image_sha=SHA)
MIRRORS = ("https://m1.test/x.img", "http://m2.test/x.img")
WARM = Cached(configured=True, hit=True, url="http://cache.test/b/eA/x.img")


def test_the_cache_comes_first_then_the_mirrors_then_the_origin() -> None:
    entry = replace(HTTP, mirrors=MIRRORS, resolved_src="https://o.test/real.img")

    assert sources(entry, WARM) == (
        Source(Place.CACHE, "http://cache.test/b/eA/x.img"),
        Source(Place.MIRROR, MIRRORS[0]),
        Source(Place.MIRROR, MIRRORS[1]),
        Source(Place.ORIGIN, "https://o.test/real.img"),
    )


def test_a_client_of_one_place_gets_the_cache_only_where_it_has_the_bytes() -> None:
    cold = Cached(configured=True, hit=False)

    assert target(HTTP, WARM).url == WARM.url
    assert target(HTTP, cold).url == HTTP.src
    assert target(HTTP).url == HTTP.src
    assert target(TAG, cold).url == TAG.src


def test_a_tag_is_pinned_to_the_digest_that_the_plan_names() -> None:
    pinned = f"oras://R.test:5000/o/x@sha256:{SHA}"

    assert sources(TAG, Cached()) == (Source(Place.ORIGIN, pinned),)
    assert image_ref(pinned)


def test_of_a_registry_without_tls_a_client_gets_the_url_of_these_very_bytes() -> None:
    blob = f"http://r.test:5000/v2/o/x/blobs/sha256:{SHA}"
    old = blob.replace(SHA, "c" * 64)

    assert sources(replace(TAG, resolved_src=blob), Cached())[-1].url == blob
    for other in (old, blob.replace("http:", "https:")):
        found = sources(replace(TAG, resolved_src=other), Cached())[-1].url
        assert found == f"oras://R.test:5000/o/x@sha256:{SHA}"
    assert target(replace(TAG, resolved_src=blob)).url == TAG.src


def test_a_tag_of_unknown_digest_and_a_digest_stay_as_they_are() -> None:
    unknown = replace(TAG, disk_image_sha=None)
    digest = replace(TAG, src=f"oras://r.test/o/x@sha256:{'c' * 64}")

    assert sources(unknown, Cached())[-1].url == unknown.src
    assert sources(digest, Cached())[-1].url == digest.src


@pytest.mark.parametrize(
    ("src", "sha_url", "rolls"),
    [
        ("https://o.test/x.img", None, False),
        ("https://o.test/x.img", "https://o.test/SHA256SUMS", True),
        ("oras://r.test/o/x:latest", None, True),
        ("ORAS://r.test/o/x:latest", None, True),
        (f"oras://r.test/o/x@sha256:{'c' * 64}", None, False),
    ],
)
def test_what_can_mean_other_bytes_tomorrow(src: str, sha_url: str | None, rolls: bool) -> None:
    assert is_rolling(replace(HTTP, src=src, sha_url=sha_url)) is rolls

"""Origins of images are asked whether they still have what the catalog says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.image_source import image_ref
from bty_app.services import catalog_checks
from bty_app.services.catalog_checks import CatalogChecks, Checked
from bty_app.services.image_origins import ImageOrigins
from bty_app.upstream.http import Http
from bty_app.upstream.registry import Registry
from tests.other_host import OtherHost, answer, other_host
from tests.services.test_catalog import serve_image

SHA, OTHER = "5" * 64, "6" * 64


@dataclass
class Bench:
    host: OtherHost
    checks: CatalogChecks

    def check(self, path: str = "/a.img", **stored: Any) -> Checked:
        src = self.host.url(path)
        fields = {"name": "a.img", "added_at": "t", **stored}
        return self.checks.check(CatalogEntry(image_ref(src), **{"src": src, **fields}))


@pytest.fixture
def bench() -> Iterator[Bench]:
    with other_host() as host:
        http = Http()
        registry = Registry(http, plain_http=frozenset({f"127.0.0.1:{host.port}"}))
        yield Bench(host, CatalogChecks(http, ImageOrigins(registry, http).resolve))


def test_an_image_that_is_as_it_was_is_good(bench: Bench) -> None:
    bench.host.routes |= {"/a.img": answer(b"xyz"), "/sums": answer(f"{SHA}  a.img".encode())}

    found = bench.check(sha_url=bench.host.url("/sums"), disk_image_sha=SHA, size_bytes=3)

    assert (found.is_good, found.size_bytes, found.sha256) == (True, 3, SHA)
    told = {"reachable": True, "size_bytes": 3, "format": None, "sha256": SHA}
    assert found.report()["origin"] == told


def test_what_the_origin_does_not_tell_is_no_difference(bench: Bench) -> None:
    bench.host.routes["/a.img"] = answer(b"xyz")

    assert bench.check(disk_image_sha=SHA).is_good


@pytest.mark.parametrize(
    ("stored", "field"),
    [({"disk_image_sha": OTHER}, "disk_image_sha"), ({"size_bytes": 4}, "size_bytes")],
)
def test_an_image_that_was_replaced_is_told(
    bench: Bench, stored: dict[str, Any], field: str
) -> None:
    bench.host.routes |= {"/a.img": answer(b"xyz"), "/sums": answer(f"{SHA}  a.img".encode())}

    found = bench.check(sha_url=bench.host.url("/sums"), **stored)

    assert not found.is_good
    assert [change.field for change in found.differs] == [field]


def test_a_tag_that_moved_is_told(bench: Bench) -> None:
    digest = serve_image(bench.host, None)
    src = f"oras://127.0.0.1:{bench.host.port}/o/debian:12"

    assert bench.check(src=src, disk_image_sha=digest, size_bytes=5).is_good
    assert not bench.check(src=src, disk_image_sha=OTHER, size_bytes=5).is_good


def test_an_origin_without_the_image_is_told_and_no_credentials(bench: Bench) -> None:
    src = bench.host.url("/none.img").replace("//", "//me:s3cret@")

    found = bench.check(src=src, size_bytes=3)

    assert not found.is_good
    assert "answers 404" in (found.error or "")
    assert found.report()["origin"] == {"reachable": False, "error": found.error}
    assert "s3cret" not in json.dumps(found.report())


def test_a_silent_origin_costs_bounded_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_checks, "CHECK_SECONDS", 0.2)
    bench.host.routes["/a.img"] = bench.host.silence

    assert bench.check().error

"""From a binding to the cache's address in the catalog, and back when the cache is gone."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bty_app.cli import serve
from bty_app.domain.cache_state import CacheKind, CacheState
from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.withcache import blob_url
from bty_app.services import image_cache, image_warming
from bty_app.services.catalog import Catalog
from bty_app.services.jobs import Jobs
from bty_app.services.revisions import Revisions
from bty_app.store import catalog, settings
from bty_app.store.database import Database
from bty_app.upstream.http import Http
from bty_app.upstream.registry import Registry
from tests import programs
from tests.file_host import FileHost, file_host
from tests.fresh_state import make_state
from tests.services.cache_bench import AT, IMAGE, entry_of
from tests.serving import ENTRY, Site, site


@pytest.fixture
def origin() -> Iterator[FileHost]:
    with file_host(**{"x.img": IMAGE}) as running:
        yield running


def sources(place: Site) -> list[str]:
    images = tomllib.loads(place.get("/catalog.toml").text)["images"]
    return [image["src"] for image in images]


def cached(place: Site) -> list[tuple[str, bool]]:
    return [(image["url"], image["cached"]) for image in place.get("/images").json]


def planned(place: Site) -> str:
    return str(place.plan()["image"])


def bind(place: Site, entry: CatalogEntry) -> None:
    fields = {"boot_mode": "bty-flash-always", "target_disk_serial": "S1"}
    assert place.save(**fields, bty_image_ref=entry.bty_image_ref).status_code == 200


def work(jobs: Jobs) -> str:
    do = jobs.next()
    assert do is not None
    do()
    return jobs.listed()[0].result


@pytest.mark.parametrize("version", ["0.8", "0.13"])
def test_a_binding_warms_the_image_and_a_dead_cache_costs_nothing(
    tmp_path: Path, origin: FileHost, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_cache, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(image_warming, "POLL_SECONDS", 0.1)
    entry = entry_of(origin.url("/x.img"))
    with site(tmp_path / "state") as place, ExitStack() as cache:
        port = cache.enter_context(programs.withcache(tmp_path, version))
        base = f"http://127.0.0.1:{port}"
        url = blob_url(base, entry.src)
        place.database.write(lambda tx: settings.put(tx, "withcache.url", base, at=AT))
        place.database.write(lambda tx: catalog.insert(tx, entry))
        turn = serve.tasks(place.services)["cache"]
        turn()
        assert sources(place) == [ENTRY.src, entry.src]

        bind(place, entry)
        assert place.services.keeper.state(entry).kind == "warming"
        assert sources(place) == [ENTRY.src, entry.src]
        assert planned(place) == entry.src
        assert work(place.services.jobs) == "the cache has it, 5000 bytes"

        assert sources(place) == [ENTRY.src, url]
        assert cached(place) == [(ENTRY.src, False), (entry.src, True)]
        assert planned(place) == url
        turn()
        assert sources(place) == [ENTRY.src, url]
        kind = place.services.keeper.state(ENTRY).kind
        assert 'bty_images{cache="warm"} 1\n' in place.get("/metrics").text
        assert f'bty_images{{cache="{kind}"}} 1\n' in place.get("/metrics").text

        elsewhere = "http://127.0.0.1:9"
        place.database.write(lambda tx: settings.put(tx, "withcache.url", elsewhere, at=AT))
        assert sources(place) == [ENTRY.src, entry.src]
        place.database.write(lambda tx: settings.put(tx, "withcache.url", base, at=AT))
        assert sources(place) == [ENTRY.src, url]

        cache.close()
        turn()
        assert sources(place) == [ENTRY.src, entry.src]
        assert cached(place) == [(ENTRY.src, False), (entry.src, False)]
        assert planned(place) == entry.src
        assert 'bty_images{cache="away"} 2\n' in place.get("/metrics").text
        place.database.write(lambda tx: settings.remove(tx, "withcache.url"))
        assert place.services.keeper.state(entry).kind == "not configured"
        turn()
        assert "bty_images" not in place.get("/metrics").text


@pytest.mark.parametrize(
    "fields",
    [
        {"boot_mode": "ipxe-exit"},
        {"boot_mode": "bty-inventory"},
        {"boot_mode": "bty-flash-always", "bty_image_ref": None},
    ],
)
def test_only_a_binding_to_flash_has_anything_fetched(
    tmp_path: Path, fields: dict[str, object]
) -> None:
    with site(tmp_path) as place:
        base = "http://127.0.0.1:9"
        place.database.write(lambda tx: settings.put(tx, "withcache.url", base, at=AT))
        saved = place.save(**{"bty_image_ref": ENTRY.bty_image_ref, **fields})

        assert saved.status_code == 200, saved.text
        assert place.services.jobs.listed() == []


def test_labels_are_no_binding(tmp_path: Path) -> None:
    with site(tmp_path) as place:
        bind(place, ENTRY)
        base = "http://127.0.0.1:9"
        place.database.write(lambda tx: settings.put(tx, "withcache.url", base, at=AT))
        fields = {"boot_mode": "bty-flash-always", "target_disk_serial": "S1"}
        place.save(**fields, bty_image_ref=ENTRY.bty_image_ref, labels=["rack 1"])
        assert place.services.jobs.listed() == []

        place.save(**fields, bty_image_ref=ENTRY.bty_image_ref, labels=["rack 1"])
        assert [job.kind for job in place.services.jobs.listed()] == ["warm"]


def test_a_cache_address_that_clients_cannot_read_is_not_given(tmp_path: Path) -> None:
    """Longer than a source may be: the origin is not."""
    entry = entry_of("http://o.test/" + "x" * 4000)
    state = CacheState(CacheKind.WARM, url=blob_url("http://c.test", entry.src))
    with Database(make_state(tmp_path)) as database:
        database.write(lambda tx: catalog.insert(tx, entry))
        http = Http()
        images = Catalog(*(database, http, Registry(http), Revisions()), state=lambda _entry: state)

        assert entry.src in images.published().toml.decode()

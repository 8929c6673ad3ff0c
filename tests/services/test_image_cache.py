"""Two generations of the real cache, and one that is dead."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bty_app.domain.breaker import OPEN_SECONDS
from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.events import Query
from bty_app.domain.image_source import ImageRef
from bty_app.domain.image_target import NO_CACHE, Cached
from bty_app.services.image_cache import FRESH_SECONDS, ImageCache
from bty_app.services.revisions import Revisions
from bty_app.services.settings import Settings
from bty_app.store import events
from bty_app.store.database import Database
from bty_app.upstream.http import Http, Request
from bty_app.upstream.withcache import Withcache
from tests import programs
from tests.file_host import FileHost, file_host
from tests.fresh_state import make_state
from tests.other_host import answer, other_host, raw
from tests.serving import Clock

IMAGE = b"image" * 1000
SHA = hashlib.sha256(IMAGE).hexdigest()
ENTRY = CatalogEntry(ImageRef("a" * 64), "http://o.test/x.img", "x.img", "2026")


@contextmanager
def cache(place: Path, base: str, clock: Clock) -> Iterator[tuple[ImageCache, Database]]:
    make_state(place)
    with Database(place / "state.db") as database:
        settings = Settings(database, Revisions(), configured={"withcache.url": base})
        http = Http(at_once=16, wait_seconds=5)
        yield ImageCache(settings, Withcache(http), database, steady=clock.steady), database


def kinds(database: Database) -> list[str]:
    return [event.kind for event in database.read(lambda tx: events.listed(tx, Query()))][::-1]


def eventually(look: Callable[[], Cached], clock: Clock) -> Cached:
    until = time.monotonic() + 20
    while not (found := look()).hit and time.monotonic() < until:
        clock.forward(FRESH_SECONDS)
        time.sleep(0.05)
    return found


@pytest.fixture
def origin() -> Iterator[FileHost]:
    with file_host(**{"x.img": IMAGE}) as running:
        yield running


def filled(base: str, src: str) -> None:
    """What a withcache from 0.10 on wants to be told."""
    body = f'{{"name": "x", "src": "{src}"}}'.encode()
    headers = {"Content-Type": "application/json"}
    for path, content in (("/catalog/entries", body), ("/catalog/entries/x/download", b"")):
        found = Http().ask(Request(base + path, "POST", headers, content), limit=9999, seconds=9)
        assert found.status in (201, 202), found


@pytest.mark.parametrize("version", ["0.8", "0.13"])
def test_a_real_cache_is_used_once_it_has_the_very_bytes(
    tmp_path: Path, origin: FileHost, version: str
) -> None:
    clock, src = Clock(), origin.url("/x.img")
    entry = replace(ENTRY, src=src, disk_image_sha=SHA)
    with programs.withcache(tmp_path, version) as port:
        base = f"http://127.0.0.1:{port}"
        with cache(tmp_path, base, clock) as (images, _database):
            assert images.look(entry) == Cached(configured=True, hit=False)
            if version == "0.13":
                filled(base, src)

            found = eventually(lambda: images.look(entry), clock)

            assert found.hit
            assert Http().get(found.url or "", limit=10**6, seconds=9) == IMAGE
            # The cache drops the query: these are the bytes of another image (P-19).
            other = replace(entry, src=f"{src}?v=2", disk_image_sha="b" * 64)
            assert images.look(other) == Cached(configured=True, hit=False)


def test_no_cache_is_asked_where_none_is_configured(tmp_path: Path) -> None:
    with cache(tmp_path, "", Clock()) as (images, _database):
        assert images.look(ENTRY) == NO_CACHE


def test_a_crowd_asks_a_dead_cache_once_and_then_nobody_does(tmp_path: Path) -> None:
    clock = Clock()
    with other_host() as dead, cache(tmp_path, dead.url(""), clock) as (images, database):
        dead.routes["/b/aHR0cDovL28udGVzdC94LmltZw/x.img"] = raw(b"")
        found: list[Cached] = []
        crowd = [
            threading.Thread(target=lambda: found.append(images.look(ENTRY))) for _ in range(99)
        ]
        for thread in crowd:
            thread.start()
        for thread in crowd:
            thread.join(10)
        assert found == [Cached(configured=True)] * 99
        assert len(dead.heads) <= 1

        for _ in range(10):
            clock.forward(1)
            images.look(ENTRY)

        assert len(dead.heads) == 2
        assert kinds(database) == ["withcache.lookup.failed"]


def test_a_cache_that_comes_back_is_used_again_and_told(tmp_path: Path) -> None:
    clock = Clock()
    with other_host() as host, cache(tmp_path, host.url(""), clock) as (images, database):
        broken = answer(status="500 Broken")
        good = answer(X_Withcache_Sha256=SHA)
        path = "/b/aHR0cDovL28udGVzdC94LmltZw/x.img"
        host.routes[path] = broken
        for _ in range(3):
            images.look(ENTRY)
            clock.forward(FRESH_SECONDS)
        assert len(host.heads) == 2

        host.routes[path] = good
        clock.forward(OPEN_SECONDS)

        assert images.look(ENTRY).url == host.url(path)
        assert kinds(database) == ["withcache.lookup.failed", "withcache.recovered"]


def test_our_own_crowd_is_no_failure_of_the_cache(tmp_path: Path) -> None:
    make_state(tmp_path)
    clock, inside, go = Clock(), threading.Event(), threading.Event()
    with other_host() as host, Database(tmp_path / "state.db") as database:

        def slow(client: socket.socket) -> None:
            inside.set()
            assert go.wait(10)
            answer(X_Withcache_Sha256=SHA)(client)

        host.routes["/b/aHR0cDovL28udGVzdC94LmltZw/x.img"] = slow
        settings = Settings(database, Revisions(), configured={"withcache.url": host.url("")})
        images = ImageCache(settings, Withcache(Http(at_once=1)), database, steady=clock.steady)
        first = threading.Thread(target=lambda: images.look(ENTRY))
        first.start()
        assert inside.wait(10)
        for number in range(5):
            other = replace(ENTRY, src=f"http://o.test/{number}.img")
            assert images.look(other) == Cached(configured=True)
        go.set()
        first.join(10)
        clock.forward(FRESH_SECONDS)

        assert images.look(ENTRY).hit
        assert kinds(database) == []


@pytest.mark.parametrize("sha", ["", "x" * 64, "a" * 63])
def test_a_cache_that_does_not_say_what_it_has_is_not_used(tmp_path: Path, sha: str) -> None:
    clock = Clock()
    with other_host() as host, cache(tmp_path, host.url(""), clock) as (images, _database):
        host.routes["/b/aHR0cDovL28udGVzdC94LmltZw/x.img"] = answer(X_Withcache_Sha256=sha)

        assert images.look(ENTRY) == Cached(configured=True)

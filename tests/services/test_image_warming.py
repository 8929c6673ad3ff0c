"""Images are fetched into both generations of the real cache before a machine wants them."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.events import Query
from bty_app.domain.image_source import ImageRef
from bty_app.errors import CancelledError, ConflictError, UnavailableError
from bty_app.services import image_warming
from bty_app.services.image_warming import Order, Warming
from bty_app.services.revisions import Revisions
from bty_app.services.settings import Settings
from bty_app.store import events
from bty_app.store.database import Database
from bty_app.upstream.http import Http
from bty_app.upstream.withcache import Withcache
from tests import programs
from tests.file_host import FileHost, file_host
from tests.fresh_state import make_state
from tests.other_host import answer, other_host

IMAGE = b"image" * 1000
ENTRY = CatalogEntry(
    *(ImageRef("a" * 64), "http://o.test/x.img", "Débian / x", "2026"),
    disk_image_sha=hashlib.sha256(IMAGE).hexdigest(),
)


@contextmanager
def warming(place: Path, base: str, password: str = "") -> Iterator[tuple[Warming, Database]]:
    make_state(place)
    with Database(place / "state.db") as database:
        settings = Settings(database, Revisions(), configured={"withcache.url": base})
        cache = Withcache(Http())
        yield Warming(database, cache, settings, password=password), database


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_warming, "POLL_SECONDS", 0.1)


@pytest.fixture
def origin() -> Iterator[FileHost]:
    with file_host(**{"x.img": IMAGE}) as running:
        yield running


def kinds(database: Database) -> list[str]:
    return [event.kind for event in database.read(lambda tx: events.listed(tx, Query()))][::-1]


def unheard(_sentence: str) -> None:
    pass


@pytest.mark.parametrize("version", ["0.8", "0.13"])
def test_a_cold_image_becomes_warm(tmp_path: Path, origin: FileHost, version: str) -> None:
    entry = replace(ENTRY, src=origin.url("/x.img"))
    with (
        programs.withcache(tmp_path, version) as port,
        warming(tmp_path, f"http://127.0.0.1:{port}") as (warm, database),
    ):
        told: list[str] = []
        held = warm.warm(entry, Order(), told.append)

        assert Http().get(held.url, limit=10**6, seconds=9) == IMAGE
        assert warm.warm(entry, Order(), told.append) == held
        assert origin.gets("/x.img") == 1
        assert kinds(database) == ["catalog.warmed"] * 2


def test_an_image_that_was_rebuilt_is_fetched_anew_by_force_alone(
    tmp_path: Path, origin: FileHost
) -> None:
    entry = replace(ENTRY, src=origin.url("/x.img"))
    with (
        programs.withcache(tmp_path, "0.13") as port,
        warming(tmp_path, f"http://127.0.0.1:{port}") as (warm, database),
    ):
        warm.warm(entry, Order(), unheard)
        rebuilt = b"rebuilt" * 999
        origin.files["/x.img"] = rebuilt
        entry = replace(entry, disk_image_sha=hashlib.sha256(rebuilt).hexdigest())

        with pytest.raises(ConflictError, match="has other bytes"):
            warm.warm(entry, Order(), unheard)
        assert kinds(database)[-1] == "catalog.warm.failed"
        held = warm.warm(entry, Order(force=True), unheard)

        assert held.sha256 == entry.disk_image_sha


def test_an_old_cache_is_cleaned_by_hand(tmp_path: Path, origin: FileHost) -> None:
    entry = replace(ENTRY, src=origin.url("/x.img"))
    with (
        programs.withcache(tmp_path, "0.8") as port,
        warming(tmp_path, f"http://127.0.0.1:{port}") as (warm, _database),
    ):
        warm.warm(entry, Order(), unheard)

        with pytest.raises(ConflictError, match=r"older than 0\.10: remove the image"):
            warm.warm(entry, Order(force=True), unheard)


def test_a_cache_that_is_away_for_a_moment_is_waited_for_and_a_dead_one_is_not(
    tmp_path: Path,
) -> None:
    with other_host() as host, warming(tmp_path, host.url("")) as (warm, _database):
        path = "/b/aHR0cDovL28udGVzdC94LmltZw/x.img"
        sha = ENTRY.disk_image_sha or ""
        cold, broken = answer(status="404 Not Found"), answer(status="502 Bad Gateway")
        warm_now = answer(X_Withcache_Sha256=sha)
        turns = [cold, *[broken] * 4, cold, *[broken] * 4, warm_now]

        def in_turn(client: socket.socket) -> None:
            told = turns.pop(0)
            told(client)

        host.routes[path] = in_turn
        assert warm.warm(ENTRY, Order(), unheard).sha256 == sha

        turns += [cold, *[broken] * 9]
        with pytest.raises(UnavailableError, match="answers 502"):
            warm.warm(ENTRY, Order(), unheard)
        assert len(turns) == 4


def test_what_the_cache_cannot_fetch_is_given_up(tmp_path: Path, origin: FileHost) -> None:
    entry = replace(ENTRY, src=origin.url("/none.img"))
    with (
        programs.withcache(tmp_path, "0.13") as port,
        warming(tmp_path, f"http://127.0.0.1:{port}") as (warm, _database),
        pytest.raises(UnavailableError, match=r"cannot fetch .*its own pages have the reason"),
    ):
        warm.warm(entry, Order(), unheard)


def test_a_cache_that_does_not_say_whether_it_still_fetches_is_given_up_sooner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_warming, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(image_warming, "MOST_UNTOLD_SECONDS", 0.05)
    with other_host() as host, warming(tmp_path, host.url("")) as (warm, _database):
        with pytest.raises(UnavailableError, match="has not fetched"):
            warm.warm(ENTRY, Order(), unheard)

        assert sum(head.startswith("HEAD") for head in host.heads) == 5


def test_a_cache_with_a_password_wants_it(
    tmp_path: Path, origin: FileHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = replace(ENTRY, src=origin.url("/x.img"))
    with programs.withcache(tmp_path, "0.13", password="hunter2") as port:
        base = f"http://127.0.0.1:{port}"
        with (
            warming(tmp_path, base, "wrong") as (warm, _database),
            pytest.raises(UnavailableError, match=r"withcache\.password"),
        ):
            warm.warm(entry, Order(), unheard)
        (tmp_path / "two").mkdir()
        with warming(tmp_path / "two", base, "hunter2") as (warm, _database):
            assert warm.warm(entry, Order(), unheard).sha256 == entry.disk_image_sha


def test_without_a_cache_there_is_nothing_to_warm(tmp_path: Path) -> None:
    with (
        warming(tmp_path, "") as (warm, _database),
        pytest.raises(ConflictError, match=r"set withcache\.url"),
    ):
        warm.warm(ENTRY, Order(), unheard)


def test_a_warming_that_is_cancelled_ends_and_is_no_failure(tmp_path: Path) -> None:
    def cancelled(_sentence: str) -> None:
        raise CancelledError("it was cancelled")

    with other_host() as host, warming(tmp_path, host.url("")) as (warm, database):
        with pytest.raises(CancelledError):
            warm.warm(ENTRY, Order(), cancelled)

        assert kinds(database) == []

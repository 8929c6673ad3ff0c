"""What the cache has: asked of two generations of the real one, and of some that lie."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bty_app.domain.cache_state import LOOK_AGAIN_SECONDS, CacheKind, CacheState
from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.withcache import blob_url
from bty_app.errors import ConflictError, TooLargeError
from bty_app.services import cache_keeper
from bty_app.upstream.http import Http
from bty_app.upstream.withcache import Withcache
from tests import programs
from tests.file_host import FileHost, file_host
from tests.other_host import Answer, OtherHost, answer, other_host, raw, redirect
from tests.services.cache_bench import IMAGE, SHA, Bench, FakeCache, bench, entry_of, post, row

SRC = "http://o.test/x.img"


def warm(b: Bench, fake: FakeCache) -> CatalogEntry:
    """An image that the cache lists, and has."""
    entry = b.add(entry_of(SRC))
    fake.lists([row(entry)])
    fake.has(SRC)
    b.turn()
    return entry


@pytest.fixture
def origin() -> Iterator[FileHost]:
    with file_host(**{"x.img": IMAGE, "y.img": IMAGE}) as running:
        yield running


@pytest.fixture
def host() -> Iterator[OtherHost]:
    with other_host() as running:
        yield running


@pytest.mark.parametrize("version", ["0.8", "0.13"])
def test_what_another_process_has_bound_becomes_warm(
    tmp_path: Path, origin: FileHost, version: str
) -> None:
    with programs.withcache(tmp_path, version) as port:
        base = f"http://127.0.0.1:{port}"
        with bench(tmp_path, base) as b:
            entry = b.add(entry_of(origin.url("/x.img")))
            assert b.kind(entry) is CacheKind.UNKNOWN
            b.bind(entry)

            b.turn()
            assert b.kind(entry) is CacheKind.WARMING
            job = b.work()

            url = blob_url(base, entry.src)
            assert job.result == "the cache has it, 5000 bytes"
            assert b.keeper.state(entry) == CacheState(CacheKind.WARM, SHA, 5000, url)
            assert Http().get(url, limit=10**6, seconds=9) == IMAGE
            assert b.kinds() == [("catalog.warmed", "system")]
            b.turn()
            assert b.kind(entry) is CacheKind.WARM
            assert not [job for job in b.jobs.listed() if job.is_active]
            assert b.memory.counts() == {"warm": 1}
    # An old one fetches once more what it is asked for just as its first fetch ends.
    assert origin.gets("/x.img") == 1 or version == "0.8"


def test_what_somebody_else_had_fetched_is_known_and_compared_by_its_bytes(
    tmp_path: Path, origin: FileHost
) -> None:
    src = origin.url("/x.img")
    with programs.withcache(tmp_path, "0.13") as port:
        base = f"http://127.0.0.1:{port}"
        # A digest that is declared is what its list repeats, whatever the bytes are.
        post(f"{base}/catalog/entries", {"name": "x", "src": src})
        post(f"{base}/catalog/entries", {"name": "x2", "src": f"{src}?v=2", "sha256": "b" * 64})
        post(f"{base}/catalog/entries", {"name": "cold", "src": origin.url("/y.img")})
        with bench(tmp_path, base) as b:
            right = b.add(entry_of(src))
            wrong = b.add(entry_of(f"{src}?v=2", "b" * 64))
            cold, unlisted = b.add(entry_of(origin.url("/y.img"))), b.add(entry_of(SRC))
            b.turn()
            assert b.memory.counts() == {"cold": 4}

            post(f"{base}/catalog/entries/x/download")
            until = time.monotonic() + 20
            while b.kind(right) is CacheKind.COLD and time.monotonic() < until:
                b.turn()

            kinds = [b.kind(entry) for entry in (right, wrong, cold, unlisted)]
            assert kinds == [CacheKind.WARM, CacheKind.DIFFERS, CacheKind.COLD, CacheKind.COLD]
            assert b.keeper.state(wrong) == CacheState(CacheKind.DIFFERS, SHA, 5000)
            assert b.jobs.listed() == []


def test_an_old_cache_is_asked_for_nothing_that_nobody_needs(
    tmp_path: Path, origin: FileHost
) -> None:
    with (
        programs.withcache(tmp_path, "0.8") as port,
        bench(tmp_path, f"http://127.0.0.1:{port}") as b,
    ):
        entry = b.add(entry_of(origin.url("/x.img")))
        b.turn()
        b.turn(LOOK_AGAIN_SECONDS)

        assert b.kind(entry) is CacheKind.UNKNOWN
    assert "/b/" not in (tmp_path / "withcache.log").read_text()
    assert origin.asked == []


def test_a_cache_that_lists_what_it_has_not_and_fetches_what_is_asked_for_is_an_old_one(
    tmp_path: Path, host: OtherHost
) -> None:
    fake = FakeCache(host, version="0.9.1")
    with bench(tmp_path, fake.base) as b:
        entry = b.add(entry_of(SRC))
        fake.lists([row(entry)])
        b.turn()

        assert b.kind(entry) is CacheKind.UNKNOWN
        assert fake.asked() == []


def endless(client: socket.socket) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\n\r\n[")
    while True:
        client.sendall(b"[" * 65536)


BAD_LISTS: dict[str, Callable[[OtherHost], Answer]] = {
    "endless": lambda _host: endless,
    "a byte at a time": lambda host: host.drip(b"[" * 9999, first=b"HTTP/1.1 200 OK\r\n\r\n"),
    "silent": lambda host: host.silence,
    "dies": lambda _host: raw(b""),
    "dies later": lambda _host: raw(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"entries"'),
    "huge": lambda _host: raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"),
    "deep": lambda _host: answer(b'{"entries":' + b"[" * 9999 + b"]" * 9999 + b"}"),
    "not JSON": lambda _host: answer(b"<html>"),
    "no object": lambda _host: answer(b"[]"),
    "no list": lambda _host: answer(b'{"entries": {}}'),
    "broken": lambda _host: answer(status="500 Broken"),
    "gone": lambda _host: answer(status="404 Not Found"),
    "elsewhere": lambda _host: redirect("http://127.0.0.1:9/"),
}


@pytest.mark.parametrize("path", ["/healthz", "/catalog"])
@pytest.mark.parametrize("fault", BAD_LISTS)
def test_a_cache_that_does_not_answer_properly_is_away_until_it_does(
    tmp_path: Path, host: OtherHost, path: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_keeper, "LIST_SECONDS", 0.5)
    fake = FakeCache(host)
    with bench(tmp_path, fake.base) as b:
        entry = b.add(entry_of(SRC))
        fake.lists([row(entry)])
        fake.has(SRC)
        b.bind(entry)
        b.turn()
        assert b.kind(entry) is CacheKind.WARM
        good = fake.routes[path]

        fake.routes[path] = BAD_LISTS[fault](host)
        began = time.monotonic()
        b.turn()

        assert time.monotonic() - began < 3
        assert b.keeper.state(entry) == CacheState(CacheKind.AWAY)
        b.keeper.bound(entry.bty_image_ref)
        assert b.jobs.listed() == []
        fake.routes[path] = good
        b.turn()
        assert b.kind(entry) is CacheKind.WARM


def test_rows_that_make_no_sense_are_passed_over(tmp_path: Path, host: OtherHost) -> None:
    fake = FakeCache(host)
    with bench(tmp_path, fake.base) as b:
        entry = b.add(entry_of(SRC, sha256=None))
        odd: list[object] = [7, None, [], {}, {"src": 5}, {"src": "x\ud800"}]
        odd += [{"src": "http://o.test/y", "sha256": 5, "size_bytes": -1}, row(entry, sha256="no")]
        fake.lists([*odd, row(entry, sha256="b" * 64, size_bytes=True)])
        fake.has(SRC)
        b.turn()

        assert b.kind(entry) is CacheKind.WARM  # of two rows the first counts


@pytest.mark.parametrize(
    "fault", [answer(status="500 Broken"), raw(b""), answer(), answer(X_Withcache_Sha256="x" * 64)]
)
def test_an_image_that_it_does_not_speak_of_properly_is_unknown_and_asked_for_again(
    tmp_path: Path, host: OtherHost, fault: Answer
) -> None:
    fake = FakeCache(host)
    with bench(tmp_path, fake.base) as b:
        entry = b.add(entry_of(SRC))
        fake.lists([row(entry)])
        fake.routes[fake.path(SRC)] = fault
        b.bind(entry)
        b.turn()
        assert b.kind(entry) is CacheKind.UNKNOWN
        assert b.jobs.listed() == []

        fake.has(SRC)
        b.turn()
        assert b.kind(entry) is CacheKind.WARM


def test_a_turn_ends_after_two_looks_in_a_row_without_an_answer(
    tmp_path: Path, host: OtherHost
) -> None:
    fake = FakeCache(host)
    with bench(tmp_path, fake.base) as b:
        entries = [b.add(entry_of(f"http://o.test/{n}.img", name=f"{n}")) for n in range(5)]
        fake.lists([row(entry) for entry in entries])
        for entry in entries:
            fake.routes[fake.path(entry.src)] = raw(b"")
        b.turn()
        assert len(fake.asked("HEAD")) == 2

        fake.has(entries[2].src)
        fake.has(entries[4].src)
        b.turn()

        # Those that were not asked for yet come first, and an answer makes it go on.
        assert fake.asked("HEAD")[2:] == [fake.path(entries[n].src) for n in (2, 3, 4, 0, 1)]


def test_a_turn_has_its_time(tmp_path: Path, host: OtherHost) -> None:
    fake = FakeCache(host)
    with bench(tmp_path, fake.base) as b:
        entries = [b.add(entry_of(f"http://o.test/{n}.img", name=f"{n}")) for n in range(5)]
        fake.lists([row(entry) for entry in entries])

        def slow(client: socket.socket) -> None:
            b.clock.forward(2)
            answer(X_Withcache_Sha256=SHA)(client)

        for entry in entries:
            fake.routes[fake.path(entry.src)] = slow
        b.turn()

        assert len(fake.asked("HEAD")) == 3  # of two seconds each, in five
        assert len(b.memory.seen(fake.base)) == 3
        assert [b.kind(entry) for entry in entries].count(CacheKind.WARM) == 3


def test_what_it_has_is_looked_at_again_now_and_then(tmp_path: Path, host: OtherHost) -> None:
    fake = FakeCache(host)
    with bench(tmp_path, fake.base) as b:
        entry = warm(b, fake)
        fake.has(SRC, "b" * 64)
        b.turn()
        assert b.kind(entry) is CacheKind.WARM

        b.turn(LOOK_AGAIN_SECONDS)

        assert b.kind(entry) is CacheKind.DIFFERS


def test_a_state_is_of_the_cache_that_is_set_now(tmp_path: Path, host: OtherHost) -> None:
    fake = FakeCache(host)
    with bench(tmp_path, fake.base) as b:
        entry = warm(b, fake)

        with other_host() as another:
            second = FakeCache(another)
            second.lists([row(entry)])
            second.has(SRC, "b" * 64)
            b.use(second.base)
            assert b.kind(entry) is CacheKind.UNKNOWN
            b.turn()
            assert b.kind(entry) is CacheKind.DIFFERS
        b.use(fake.base)
        b.turn()
        assert b.kind(entry) is CacheKind.WARM


def test_a_cache_that_comes_back_may_have_other_bytes(tmp_path: Path, host: OtherHost) -> None:
    fake = FakeCache(host)
    with bench(tmp_path, fake.base) as b:
        entry = warm(b, fake)
        good = fake.routes["/healthz"]
        fake.routes["/healthz"] = raw(b"")
        b.turn()
        fake.routes["/healthz"] = good
        fake.has(SRC, "b" * 64)
        b.turn()

        assert b.kind(entry) is CacheKind.DIFFERS


def test_a_list_has_a_bound(host: OtherHost) -> None:
    fake = FakeCache(host)
    fake.routes["/catalog"] = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10485761\r\n\r\n")

    with pytest.raises(TooLargeError, match="larger than 10240 KiB"):
        Withcache(Http()).listed(fake.base, seconds=9)


def test_without_a_cache_nothing_is_asked_and_nothing_ordered(tmp_path: Path) -> None:
    with bench(tmp_path, "") as b:
        entry = b.add(entry_of(SRC))
        b.bind(entry)
        b.keeper.bound(entry.bty_image_ref)
        b.turn()

        assert b.kind(entry) is CacheKind.NOT_CONFIGURED
        assert b.jobs.listed() == []
        assert b.memory.counts() == {}
        with pytest.raises(ConflictError, match=r"set withcache\.url"):
            b.keeper.warm(entry)


def test_there_is_a_revision_for_each_change_and_for_nothing_else(
    tmp_path: Path, host: OtherHost
) -> None:
    fake, seen = FakeCache(host), list[str]()
    with bench(tmp_path, fake.base) as b:
        entry = b.add(entry_of(SRC))

        def turns() -> bool:
            for _ in range(3):
                b.turn(LOOK_AGAIN_SECONDS)
                seen.append(b.revisions.current("cache"))
            return seen[-3] == seen[-2] == seen[-1] and seen[-3] not in seen[:-3]

        assert turns()
        fake.lists([row(entry)])
        fake.has(SRC)
        assert turns()
        fake.routes["/healthz"] = raw(b"")
        assert turns()

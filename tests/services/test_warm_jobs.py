"""Images that machines are bound to are fetched into the cache without anybody asking."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bty_app.domain.cache_state import LOOK_AGAIN_SECONDS, CacheKind
from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.image_source import ImageRef
from bty_app.domain.jobs import State
from bty_app.domain.mac import Mac
from bty_app.domain.warm_tries import MEND_PAUSE_SECONDS
from bty_app.domain.withcache import blob_url, entry_name
from bty_app.errors import ConflictError
from bty_app.services.warm_jobs import MOST_AT_ONCE
from bty_app.store import catalog
from bty_app.upstream.http import Http, Request
from tests import programs
from tests.file_host import FileHost, file_host
from tests.other_host import answer, other_host, raw
from tests.services.cache_bench import IMAGE, SHA, Bench, FakeCache, bench, entry_of
from tests.services.test_jobs import working

SRC = "http://o.test/x.img"
REBUILT = b"rebuilt" * 999
REBUILT_SHA = hashlib.sha256(REBUILT).hexdigest()
FAILED, WARMED = ("catalog.warm.failed", "system"), ("catalog.warmed", "system")


@pytest.fixture
def origin() -> Iterator[FileHost]:
    with file_host(**{"x.img": IMAGE, "y.img": IMAGE}) as running:
        yield running


@pytest.fixture
def fake() -> Iterator[FakeCache]:
    """A cache that fetches nothing, whatever it is told."""
    with other_host() as host:
        made = FakeCache(host)
        made.fails()
        yield made


def active(b: Bench) -> int:
    return sum(job.is_active for job in b.jobs.listed())


def fails(b: Bench) -> None:
    """Do the job that is queued; it fails."""
    assert b.work().state is State.FAILED
    assert active(b) == 0


# -- binding -------------------------------------------------------------------------------------


def test_a_binding_is_heard_of_at_once(tmp_path: Path, fake: FakeCache) -> None:
    with bench(tmp_path, fake.base) as b:
        entry = b.add(entry_of(SRC))

        b.keeper.bound(entry.bty_image_ref)

        (job,) = b.jobs.listed()
        assert (job.kind, job.key, job.is_active) == ("warm", entry.bty_image_ref, True)
        assert job.title == "fetch x.img into the cache"
        assert b.kind(entry) is CacheKind.WARMING
        b.keeper.bound(entry.bty_image_ref)
        b.bind(entry)
        b.turn()
        assert len(b.jobs.listed()) == 1
        assert b.kind(entry) is CacheKind.WARMING


def test_what_the_cache_had_all_along_is_no_event(tmp_path: Path, fake: FakeCache) -> None:
    with bench(tmp_path, fake.base) as b:
        entry = b.add(entry_of(SRC))
        fake.has(SRC)
        b.keeper.bound(entry.bty_image_ref)
        b.work()

        assert b.kind(entry) is CacheKind.WARM
        assert b.kinds() == []
        b.keeper.bound(entry.bty_image_ref)
        assert active(b) == 0


def test_a_binding_to_what_is_not_in_the_catalog_is_nothing(
    tmp_path: Path, fake: FakeCache
) -> None:
    with bench(tmp_path, fake.base) as b:
        b.keeper.bound("f" * 64)
        b.bind(entry_of(SRC))
        b.turn()

        assert b.jobs.listed() == []


def test_an_image_that_is_removed_while_it_waits_is_not_fetched(
    tmp_path: Path, fake: FakeCache
) -> None:
    with bench(tmp_path, fake.base) as b:
        entry = b.add(entry_of(SRC))
        b.keeper.bound(entry.bty_image_ref)
        b.database.write(lambda tx: catalog.delete(tx, entry.bty_image_ref))

        assert "was removed" in b.work().error
        assert fake.asked() == []
        assert b.kinds() == []


def test_only_so_many_wait_and_the_rest_follows(tmp_path: Path, fake: FakeCache) -> None:
    with bench(tmp_path, fake.base) as b:
        numbers = range(MOST_AT_ONCE + 5)
        entries = [b.add(entry_of(f"http://o.test/{n}.img", name=f"{n}")) for n in numbers]
        for number, entry in enumerate(entries):
            b.bind(entry, Mac(f"52:54:00:00:01:{number:02x}"))
        b.turn()
        b.keeper.bound(entries[-1].bty_image_ref)
        assert active(b) == MOST_AT_ONCE

        for job in b.jobs.listed():
            b.jobs.cancel(job.id)
        b.turn()

        assert active(b) == 5


def test_what_the_cache_has_lost_is_fetched_again(tmp_path: Path, origin: FileHost) -> None:
    with programs.withcache(tmp_path, "0.13") as port, other_host() as fresh:
        empty = FakeCache(fresh)
        with bench(tmp_path, f"http://127.0.0.1:{port}") as b:
            entry = b.add(entry_of(origin.url("/x.img")))
            b.bind(entry)
            b.turn()
            b.work()
            assert b.kind(entry) is CacheKind.WARM
            b.turn()

            # Its row is gone, as after it has taken another catalog; the bytes are there.
            _delete_row(port, entry)
            b.turn()
            assert b.kind(entry) is CacheKind.WARM
            assert active(b) == 0

            b.use(empty.base)
            b.turn()
            assert b.kind(entry) is CacheKind.WARMING


def _delete_row(port: int, entry: CatalogEntry) -> None:
    name = entry_name(entry.name, entry.bty_image_ref)
    url = f"http://127.0.0.1:{port}/catalog/entries?name={name}"
    assert Http().ask(Request(url, "DELETE"), limit=999, seconds=9).status == 204


def test_what_one_cache_has_fetched_another_has_not(tmp_path: Path, fake: FakeCache) -> None:
    with bench(tmp_path, fake.base) as b, other_host() as host:
        entry = b.add(entry_of(SRC))
        fake.has(SRC)
        b.keeper.warm(entry)
        b.work()
        assert b.kind(entry) is CacheKind.WARM

        b.use(FakeCache(host).base)
        b.turn()

        assert b.kind(entry) is CacheKind.COLD


# -- what was rebuilt ----------------------------------------------------------------------------


def test_an_image_that_was_rebuilt_is_fetched_anew(tmp_path: Path, origin: FileHost) -> None:
    with programs.withcache(tmp_path, "0.13") as port:
        base = f"http://127.0.0.1:{port}"
        with bench(tmp_path, base) as b:
            entry = b.add(entry_of(origin.url("/x.img")))
            b.bind(entry)
            b.turn()
            b.work()
            origin.files["/x.img"] = REBUILT
            entry = b.change(entry, disk_image_sha=REBUILT_SHA)
            assert b.kind(entry) is CacheKind.DIFFERS

            b.turn()
            b.work()

            assert b.kind(entry) is CacheKind.WARM
            assert Http().get(blob_url(base, entry.src), limit=10**6, seconds=9) == REBUILT
            assert b.kinds() == [WARMED] * 2


def test_a_source_that_has_moved_on_is_asked_before_the_cache_is(
    tmp_path: Path, origin: FileHost
) -> None:
    with (
        programs.withcache(tmp_path, "0.13") as port,
        bench(tmp_path, f"http://127.0.0.1:{port}") as b,
    ):
        entry = b.add(entry_of(origin.url("/x.img"), sha256="b" * 64))
        b.origins[entry.bty_image_ref] = replace(entry, disk_image_sha=SHA)
        b.bind(entry)
        b.turn()

        assert b.work().state is State.COMPLETED
        assert b.kinds() == [WARMED]


def test_two_images_of_one_place_do_not_push_each_other_out(
    tmp_path: Path, origin: FileHost
) -> None:
    with (
        programs.withcache(tmp_path, "0.13") as port,
        bench(tmp_path, f"http://127.0.0.1:{port}") as b,
    ):
        one = b.add(entry_of(origin.url("/x.img?v=1")))
        b.bind(one)
        b.turn()
        b.work()
        two = b.add(entry_of(origin.url("/x.img?v=2"), REBUILT_SHA))
        b.bind(two, Mac("52:54:00:00:00:02"))
        b.turn()
        fails(b)

        b.turn()
        assert (b.kind(one), b.kind(two)) == (CacheKind.WARM, CacheKind.DIFFERS)
        assert origin.gets("/x.img") == 1
        assert b.kinds() == [WARMED, FAILED]


def test_a_source_that_serves_other_bytes_than_the_catalog_names_is_not_fetched_for_ever(
    tmp_path: Path, origin: FileHost
) -> None:
    with (
        programs.withcache(tmp_path, "0.13") as port,
        bench(tmp_path, f"http://127.0.0.1:{port}") as b,
    ):
        entry = b.add(entry_of(origin.url("/x.img"), REBUILT_SHA))
        b.bind(entry)
        b.turn()
        fails(b)
        for _ in range(5):
            b.turn(LOOK_AGAIN_SECONDS * 12)
            fails(b)
        assert origin.gets("/x.img") == 1
        assert b.kinds() == [FAILED]

        b.turn(MEND_PAUSE_SECONDS)
        fails(b)
        assert origin.gets("/x.img") == 2


def test_without_a_digest_nobody_says_what_would_be_right(tmp_path: Path, fake: FakeCache) -> None:
    with bench(tmp_path, fake.base) as b:
        entry = b.add(replace(entry_of(SRC, sha256=None), size_bytes=7))
        fake.has(SRC)
        b.bind(entry)
        b.turn()

        assert b.kind(entry) is CacheKind.DIFFERS
        assert b.jobs.listed() == []


# -- failures ------------------------------------------------------------------------------------


def bound(b: Bench) -> CatalogEntry:
    entry = b.add(entry_of(SRC))
    b.bind(entry)
    return entry


def failed(b: Bench) -> CatalogEntry:
    """A bound image that was tried once."""
    entry = bound(b)
    b.turn()
    fails(b)
    return entry


def test_a_failure_is_tried_again_after_growing_pauses_and_told_once(
    tmp_path: Path, fake: FakeCache
) -> None:
    with bench(tmp_path, fake.base) as b:
        entry = failed(b)
        for pause in (60, 120, 240, 480, 960, 1920, 3600, 3600):
            b.turn(pause - 1)
            assert active(b) == 0
            b.turn(1)
            fails(b)
        assert b.kinds() == [FAILED]
        assert b.kind(entry) is CacheKind.COLD

        fake.has(SRC)
        b.turn(3600)
        b.work()
        assert b.kind(entry) is CacheKind.WARM
        assert b.kinds() == [FAILED, WARMED]


def test_another_digest_is_tried_at_once_and_told_anew(tmp_path: Path, fake: FakeCache) -> None:
    with bench(tmp_path, fake.base) as b:
        entry = failed(b)
        b.change(entry, disk_image_sha="c" * 64)

        b.turn(1)
        fails(b)

        assert b.kinds() == [FAILED] * 2


def test_who_binds_again_is_served_at_once_and_told_once(tmp_path: Path, fake: FakeCache) -> None:
    with bench(tmp_path, fake.base) as b:
        entry = failed(b)

        for _ in range(3):
            b.keeper.bound(entry.bty_image_ref)
            fails(b)

        assert b.kinds() == [FAILED]


def test_an_operator_is_served_at_once_and_told_each_time(tmp_path: Path, fake: FakeCache) -> None:
    with bench(tmp_path, fake.base) as b:
        entry = failed(b)
        b.turn(60)
        fails(b)

        job = b.keeper.warm(entry)
        with pytest.raises(ConflictError, match="under way already"):
            b.keeper.warm(entry)
        fails(b)

        assert job.key == entry.bty_image_ref
        b.turn(59)
        assert active(b) == 0
        b.turn(1)
        fails(b)  # its pauses have begun anew
        fake.has(SRC)
        b.keeper.warm(entry)
        b.work()
        by_hand = [("catalog.warm.failed", "operator"), ("catalog.warmed", "operator")]
        assert b.kinds() == [FAILED, *by_hand]


def test_a_bug_in_the_work_is_a_failure_too(
    tmp_path: Path, fake: FakeCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bench(tmp_path, fake.base) as b:
        entry = bound(b)
        b.turn()

        def broken(_entry: CatalogEntry) -> CatalogEntry:
            return replace(entry, src=b"no text")  # type: ignore[arg-type]

        monkeypatch.setattr(b.keeper._jobs, "_refreshed", broken)
        fails(b)

        b.turn()
        assert active(b) == 0
        b.turn(60)
        assert active(b) == 1


def test_an_image_that_is_forgotten_leaves_nothing_behind(tmp_path: Path, fake: FakeCache) -> None:
    with bench(tmp_path, fake.base) as b:
        entry = failed(b)
        b.database.write(lambda tx: catalog.delete(tx, entry.bty_image_ref))
        b.turn()

        jobs, memory = b.keeper._jobs, b.memory
        assert (jobs._tries, jobs._ids, memory._seen, memory._shown) == ({}, {}, {}, {})


# -- cancelling ----------------------------------------------------------------------------------


def test_what_was_cancelled_waits_until_somebody_wants_it(tmp_path: Path, fake: FakeCache) -> None:
    with bench(tmp_path, fake.base) as b:
        entry = bound(b)
        b.turn()
        b.jobs.cancel(b.jobs.listed()[0].id)
        assert b.kind(entry) is CacheKind.COLD

        b.turn()
        b.turn(10**6)
        assert active(b) == 0
        b.keeper.bound(entry.bty_image_ref)
        assert active(b) == 1


def test_a_cancelled_job_stops_waiting_for_the_cache(tmp_path: Path, fake: FakeCache) -> None:
    with bench(tmp_path, fake.base) as b:
        entry = bound(b)
        b.turn()
        (job,) = b.jobs.listed()
        missing, looks = answer(status="404 Not Found"), list[int]()

        def cancelling(client: socket.socket) -> None:
            looks.append(1)
            if len(looks) == 3:
                b.jobs.cancel(job.id)
            missing(client)

        fake.routes["/catalog/entries"] = answer(status="404 Not Found")  # it fetches what it likes
        fake.routes[fake.path(SRC)] = cancelling
        ended = b.work()

        assert ended.state is State.CANCELLED
        assert ended.step.words.startswith("the cache is fetching, ")
        assert len(looks) == 3
        assert b.kinds() == []
        b.turn(10**6)
        assert active(b) == 0
        b.keeper.warm(entry)
        assert active(b) == 1


def test_a_silent_cache_is_left_when_the_job_is_cancelled(tmp_path: Path, fake: FakeCache) -> None:
    with bench(tmp_path, fake.base) as b:
        bound(b)
        b.turn()
        (job,) = b.jobs.listed()
        missing, turns = answer(status="404 Not Found"), list[int]()

        def dies(client: socket.socket) -> None:
            turns.append(1)
            if len(turns) == 2:
                b.jobs.cancel(job.id)
            (missing if len(turns) == 1 else raw(b""))(client)

        fake.routes["/catalog/entries"] = answer(status="404 Not Found")
        fake.routes[fake.path(SRC)] = dies

        assert b.work().state is State.CANCELLED
        assert len(turns) == 2


def test_another_ref_is_another_image(tmp_path: Path, fake: FakeCache) -> None:
    with bench(tmp_path, fake.base) as b:
        entry = bound(b)
        other = b.add(replace(entry_of("http://o.test/y.img"), bty_image_ref=ImageRef("e" * 64)))
        b.turn()
        b.jobs.cancel(b.jobs.listed()[0].id)
        b.bind(other, Mac("52:54:00:00:00:02"))
        b.turn()

        assert [job.key for job in b.jobs.listed()] == ["e" * 64, entry.bty_image_ref]


# -- threads -------------------------------------------------------------------------------------


def test_binders_turns_readers_and_jobs_do_not_wait_for_each_other(
    tmp_path: Path, fake: FakeCache
) -> None:
    with bench(tmp_path, fake.base) as b:
        entries = [b.add(entry_of(f"http://o.test/{n}.img", name=f"{n}")) for n in range(8)]
        for entry in entries[::2]:
            fake.has(entry.src)

        def binds() -> None:
            for entry in entries * 3:
                b.keeper.bound(entry.bty_image_ref)
                b.kind(entry)
                b.memory.counts()

        def turns() -> None:
            for _ in range(10):
                b.turn()

        with working(b.jobs, 3):
            asking = [threading.Thread(target=ask) for ask in (binds, turns, binds, turns)]
            for thread in asking:
                thread.start()
            for thread in asking:
                thread.join(30)
                assert not thread.is_alive()
            with b.jobs._changed:
                assert b.jobs._changed.wait_for(lambda: not active(b), 10)
        b.turn()

        assert [b.kind(entry) for entry in entries] == [CacheKind.WARM, CacheKind.COLD] * 4
        assert b.memory.counts() == {"warm": 4, "cold": 4}

"""Rolling sources are resolved when a plan is made, and a dead one costs a boot nothing more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.events import Query, StoredEvent
from bty_app.domain.image_source import ImageRef
from bty_app.domain.image_target import Cached
from bty_app.errors import BtyError, StorageError, UnavailableError
from bty_app.services.current_images import (
    FAILED_SECONDS,
    RESOLVED_SECONDS,
    CurrentImages,
    Origin,
)
from bty_app.store import catalog, events
from bty_app.store.database import Database
from tests.fresh_state import make_state
from tests.serving import Clock

OLD, NEW = "a" * 64, "b" * 64
ENTRY = CatalogEntry(
    bty_image_ref=ImageRef("c" * 64),
    src="oras://r.test/o/x:latest",
    name="x",
    added_at="2026-11-22T19:00:00.000000+00:00",
    disk_image_sha=OLD,
    size_bytes=1,
)


@dataclass
class Registry:
    """What the source says, and how often it was asked."""

    says: Origin | BtyError = field(default_factory=lambda: Origin(NEW, 7, "https://r.test/blob"))
    asked: int = 0

    def __call__(self, _entry: CatalogEntry, _seconds: float) -> Origin:
        self.asked += 1
        if isinstance(self.says, BtyError):
            raise self.says
        return self.says


@dataclass
class Bench:
    database: Database
    registry: Registry
    clock: Clock
    images: CurrentImages

    def stored(self) -> CatalogEntry:
        entry = self.database.read(lambda tx: catalog.by_ref(tx, ENTRY.bty_image_ref))
        assert entry is not None
        return entry

    def told(self) -> list[StoredEvent]:
        return self.database.read(lambda tx: events.listed(tx, Query()))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    make_state(tmp_path)
    clock, registry = Clock(), Registry()
    with Database(tmp_path / "state.db") as database:
        database.write(lambda tx: catalog.insert(tx, ENTRY))
        images = CurrentImages(
            database, registry, lambda _entry: Cached(), clock=clock, steady=clock.steady
        )
        yield Bench(database, registry, clock, images)


def test_a_tag_that_moved_is_planned_stored_and_told_with_its_new_digest(bench: Bench) -> None:
    planned = bench.images.target(ENTRY)

    assert planned.sha256 == NEW
    assert planned.sources[-1].url == f"oras://r.test/o/x@sha256:{NEW}"
    stored = bench.stored()
    assert (stored.disk_image_sha, stored.size_bytes) == (NEW, 7)
    assert stored.resolved_src == "https://r.test/blob"
    (event,) = bench.told()
    assert event.kind == "catalog.entry.refreshed"
    assert json.loads(event.details or "")["disk_image_sha"] == {"old": OLD, "new": NEW}


def test_a_format_is_learnt_where_none_is_known(bench: Bench) -> None:
    bench.registry.says = Origin(NEW, format="img.zst")
    given = replace(ENTRY, format="img")

    assert bench.images.refreshed(ENTRY).format == "img.zst"
    assert bench.images.refreshed(given).format == "img"


def test_a_tag_that_stayed_writes_nothing(bench: Bench) -> None:
    bench.registry.says = Origin(OLD, 99)

    assert bench.images.refreshed(ENTRY) is ENTRY
    assert bench.stored() == ENTRY
    assert not bench.told()


def test_the_source_is_asked_once_a_minute(bench: Bench) -> None:
    for _ in range(50):
        bench.images.target(bench.stored())
    assert bench.registry.asked == 1
    bench.clock.forward(RESOLVED_SECONDS)
    bench.registry.says = Origin(OLD)

    assert bench.images.target(bench.stored()).sha256 == OLD
    assert bench.registry.asked == 2


def test_a_dead_source_is_planned_as_stored_and_told_once(bench: Bench) -> None:
    bench.registry.says = UnavailableError("r.test did not answer in time")

    for _ in range(20):
        assert bench.images.target(ENTRY).sha256 == OLD
        bench.clock.forward(FAILED_SECONDS / 2)

    assert bench.registry.asked == 10
    assert [event.kind for event in bench.told()] == ["catalog.entry.resolve.failed"]


def test_a_source_that_comes_back_and_fails_again_is_told_again(bench: Bench) -> None:
    failure = UnavailableError("dead")
    for says in (failure, Origin(OLD), failure):
        bench.registry.says = says
        bench.images.target(ENTRY)
        bench.clock.forward(RESOLVED_SECONDS)

    assert len(bench.told()) == 2


def test_an_entry_that_changed_meanwhile_is_not_overwritten(bench: Bench) -> None:
    edited = replace(ENTRY, description="edited")
    bench.database.write(lambda tx: catalog.update(tx, edited))

    assert bench.images.refreshed(ENTRY).disk_image_sha == NEW
    assert bench.stored() == edited


def test_what_does_not_roll_is_never_asked(bench: Bench) -> None:
    fixed = replace(ENTRY, src="https://o.test/x.img")

    assert bench.images.target(fixed).url == "https://o.test/x.img"
    assert bench.registry.asked == 0


def test_a_checksum_file_gives_the_digest_and_leaves_the_address(bench: Bench) -> None:
    entry = replace(
        ENTRY, src="https://o.test/x.img", resolved_src="https://o.test/x.img", sha_url="https://o"
    )
    bench.registry.says = Origin(NEW)

    now = bench.images.refreshed(entry)

    assert (now.disk_image_sha, now.size_bytes) == (NEW, None)
    assert now.resolved_src == "https://o.test/x.img"


def test_a_full_disk_keeps_no_machine_from_its_plan(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_change: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(bench.database, "write", full)

    assert bench.images.target(ENTRY).sha256 == NEW


def test_a_declared_digest_is_planned_with_the_place_of_its_bytes(bench: Bench) -> None:
    """A registry without TLS: a client reaches the bytes by their URL alone."""
    declared = replace(ENTRY, disk_image_sha=NEW)
    bench.database.write(lambda tx: catalog.update(tx, declared))
    bench.registry.says = Origin(NEW, 7, f"http://r.test/v2/o/x/blobs/sha256:{NEW}")

    planned = bench.images.target(declared)

    assert planned.sources[-1].url == f"http://r.test/v2/o/x/blobs/sha256:{NEW}"
    assert bench.stored() == declared
    assert bench.told() == []

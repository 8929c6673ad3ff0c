"""A keeper over a real database, its clock, jobs and pauses in the test's hands."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bty_app.domain.cache_state import CacheKind
from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.events import Query
from bty_app.domain.image_source import image_ref
from bty_app.domain.jobs import Job
from bty_app.domain.mac import Mac
from bty_app.domain.machine import Assignment, BootMode, Serial
from bty_app.domain.withcache import blob_url
from bty_app.services.cache_keeper import CacheKeeper
from bty_app.services.cache_memory import CacheMemory
from bty_app.services.image_warming import Warming
from bty_app.services.jobs import Jobs
from bty_app.services.revisions import Revisions
from bty_app.services.settings import Settings
from bty_app.services.warm_jobs import WarmJobs
from bty_app.store import catalog, events, machines, settings
from bty_app.store.database import Database
from bty_app.upstream.http import Http, Request
from bty_app.upstream.withcache import Withcache
from tests.fresh_state import make_state
from tests.other_host import OtherHost, answer
from tests.serving import Clock

AT = "2026-11-22T19:00:00.000000+00:00"
IMAGE = b"image" * 1000
SHA = hashlib.sha256(IMAGE).hexdigest()
MAC = Mac("52:54:00:00:00:01")


def entry_of(src: str, sha256: str | None = SHA, name: str = "x.img") -> CatalogEntry:
    """An image of a catalog."""
    return CatalogEntry(image_ref(src), src, name, AT, disk_image_sha=sha256)


@dataclass
class Bench:
    database: Database
    keeper: CacheKeeper
    memory: CacheMemory
    jobs: Jobs
    revisions: Revisions
    clock: Clock
    origins: dict[str, CatalogEntry]

    def add(self, entry: CatalogEntry) -> CatalogEntry:
        self.database.write(lambda tx: catalog.insert(tx, entry))
        return entry

    def change(self, entry: CatalogEntry, **fields: str) -> CatalogEntry:
        changed = replace(entry, **fields)  # type: ignore[arg-type]
        self.database.write(lambda tx: catalog.update(tx, changed))
        return changed

    def bind(self, entry: CatalogEntry, mac: Mac = MAC) -> None:
        """As another process does it: the keeper is not told."""
        mode, ref = BootMode.FLASH_ALWAYS, entry.bty_image_ref
        wanted = Assignment(mode, ref, Serial("S1"))
        self.database.write(lambda tx: machines.assign(tx, mac, wanted, at=AT))

    def turn(self, seconds: float = 30.0) -> None:
        self.clock.forward(seconds)
        self.keeper.turn()

    def work(self) -> Job:
        """Do the next job here."""
        assert [job for job in self.jobs.listed() if job.is_active]
        work = self.jobs.next()
        assert work is not None
        work()
        return self.jobs.listed()[0]

    def kind(self, entry: CatalogEntry) -> CacheKind:
        return self.keeper.state(entry).kind

    def kinds(self) -> list[tuple[str, str]]:
        """What has happened, and by whom; oldest first."""
        found = self.database.read(lambda tx: events.listed(tx, Query()))
        return [(event.kind, event.actor) for event in found][::-1]

    def use(self, base: str) -> None:
        """The operator sets another cache."""
        self.database.write(lambda tx: settings.put(tx, "withcache.url", base, at=AT))


@contextmanager
def bench(place: Path, base: str) -> Iterator[Bench]:
    """A bench whose cache is at `base`."""
    clock, revisions, over = Clock(), Revisions(), threading.Event()
    with Database(make_state(place), on_commit=revisions.bump) as database:
        known = Settings(database, revisions, configured={"withcache.url": base})
        jobs, memory = Jobs(revisions, clock), CacheMemory(known, revisions)
        withcache, origins = Withcache(Http()), dict[str, CatalogEntry]()

        def breathe(_seconds: float) -> None:
            over.wait(0.02)  # the cache is another program

        warming = Warming(
            *(database, withcache, known),
            password="",
            clock=clock,
            pause=breathe,
        )

        def refreshed(entry: CatalogEntry) -> CatalogEntry:
            return origins.get(entry.bty_image_ref, entry)

        warm_jobs = WarmJobs(jobs, warming, memory, database, refreshed, steady=clock.steady)
        keeper = CacheKeeper(database, memory, withcache, warm_jobs, steady=clock.steady)
        yield Bench(database, keeper, memory, jobs, revisions, clock, origins)


def post(url: str, body: object = None) -> None:
    """What a withcache from 0.10 on is told."""
    content = b"" if body is None else json.dumps(body).encode()
    request = Request(url, "POST", {"Content-Type": "application/json"}, content)
    assert Http().ask(request, limit=9999, seconds=9).status in (201, 202)


class FakeCache:
    """A cache that says what a test wants it to say."""

    def __init__(self, host: OtherHost, *, version: str = "0.13.3") -> None:
        self._host = host
        self.base = host.url("")
        self.routes = host.routes
        told = {"status": "ok", "service": "withcache", "version": version}
        self.routes["/healthz"] = answer(json.dumps(told).encode())
        self.lists([])

    def lists(self, rows: object) -> None:
        self.routes["/catalog"] = answer(json.dumps({"entries": rows}).encode())

    def has(self, src: str, sha256: str = SHA, *, size: int = 5000) -> None:
        """A hit of a HEAD; for `src` alone, whatever is listed."""
        self.routes[self.path(src)] = answer(X_Withcache_Sha256=sha256, Content_Length=str(size))

    def path(self, src: str) -> str:
        return blob_url("", src)

    def fails(self) -> None:
        """It takes images into its catalog, and fetches none."""
        self.routes["/catalog/entries"] = answer(b"{}", status="201 Created")

    def asked(self, method: str = "") -> list[str]:
        """The paths that were asked for, but how it is."""
        lines = [head.split(" ") for head in self._host.heads]
        found = [line[1] for line in lines if line[0].startswith(method)]
        return [path for path in found if path != "/healthz"]

    def forget(self) -> None:
        self._host.heads.clear()


def row(entry: CatalogEntry, **fields: object) -> Mapping[str, object]:
    """An image as the cache lists it."""
    told = {"name": entry.name, "src": entry.src, "sha256": SHA, "size_bytes": 5000}
    return {**told, **fields}

"""Has the cache fetch images by jobs: one for each image, and growing pauses after failures.

Threads: any may call; the work is done by those of the jobs.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from bty_app import logs
from bty_app.domain.cache_state import CacheKind
from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.catalog_events import plain
from bty_app.domain.events import Actor
from bty_app.domain.jobs import Job, Outcome, State, Step, Teller
from bty_app.domain.warm_tries import Tries, tries_for
from bty_app.domain.withcache import place_in_cache
from bty_app.errors import CancelledError, ConflictError, NotFoundError
from bty_app.services.cache_memory import CacheMemory
from bty_app.services.image_warming import Order, Warming
from bty_app.services.jobs import Jobs
from bty_app.store import catalog
from bty_app.store.database import Database

_log = logging.getLogger(__name__)

KIND = "warm"
_MISSING = frozenset({CacheKind.COLD, CacheKind.DIFFERS})
MOST_AT_ONCE = 20  # that wait or run though nobody asked: the next turn has the rest


class WarmJobs:
    """The queue, and what came of earlier tries."""

    def __init__(
        self,
        jobs: Jobs,
        warming: Warming,
        memory: CacheMemory,
        database: Database,
        refreshed: Callable[[CatalogEntry], CatalogEntry],
        *,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """`refreshed` gives an image as its source has it now, and never fails."""
        self._jobs = jobs
        self._warming = warming
        self._memory = memory
        self._database = database
        self._refreshed = refreshed
        self._steady = steady
        self._lock = threading.Lock()
        self._tries: dict[str, Tries] = {}
        self._ids: dict[str, str] = {}

    def order(self, entry: CatalogEntry, by: Actor, *, force: bool = False) -> Job:
        """Have the image fetched.

        Raises:
            ConflictError: it is under way already, or too many jobs wait.
        """
        ref = entry.bty_image_ref
        was_missing = self._memory.state(entry).kind in _MISSING
        order = Order(by, force=force, was_missing=was_missing)

        def work(teller: Teller) -> Outcome:
            return self._work(ref, order, teller)

        with self._lock:
            job = self._jobs.submit(KIND, ref, f"fetch {plain(entry.name)} into the cache", work)
            self._ids[ref] = job.id
            self._tries[ref] = tries_for(self._tries.get(ref), entry.disk_image_sha)
            self._memory.warming(ref, lambda: self._is_active(job.id))
        self._memory.announce_one(entry)
        return job

    def asked(self, ref: str) -> None:
        """Somebody wants the image: earlier failures keep nobody waiting."""
        self._settle(ref)
        with self._lock:
            if ref in self._tries:
                self._tries[ref] = self._tries[ref].asked()

    def order_if_needed(self, entry: CatalogEntry, *, unseen: bool = False) -> None:
        """Have the image fetched if the cache has not its bytes and nothing speaks against it.

        `unseen`: also if it is not known what the cache has.
        """
        self._settle(entry.bty_image_ref)
        if not self._is_needed(entry, unseen=unseen):
            return
        with self._lock:
            tries = tries_for(self._tries.get(entry.bty_image_ref), entry.disk_image_sha)
            if not tries.may_try(self._steady()) or len(self._ids) >= MOST_AT_ONCE:
                return
        try:
            self.order(entry, Actor.SYSTEM)
        except ConflictError as error:  # the next turn looks again
            logs.event(_log, logging.DEBUG, "unordered", image=entry.name, error=error.message)

    def _is_needed(self, entry: CatalogEntry, *, unseen: bool) -> bool:
        match self._memory.state(entry).kind:
            case CacheKind.COLD:
                return True
            case CacheKind.DIFFERS:  # without a digest nobody can say what would be right
                return entry.disk_image_sha is not None
            case CacheKind.UNKNOWN:
                return unseen
            case _:
                return False

    def settle(self, known: frozenset[str]) -> None:
        """Take note of the jobs that were cancelled before they began; of images other than those
        `known` nothing is kept.
        """
        with self._lock:
            refs = list(self._ids)
            self._tries = {ref: tries for ref, tries in self._tries.items() if ref in known}
        for ref in refs:
            self._settle(ref)

    def _settle(self, ref: str) -> None:
        with self._lock:
            job_id = self._ids.get(ref)
            if job_id is None or self._is_active(job_id):
                return
            del self._ids[ref]
            self._memory.warming(ref, None)
            if ref in self._tries and self._was_cancelled(job_id):
                self._tries[ref] = self._tries[ref].cancelled()

    def _is_active(self, job_id: str) -> bool:
        try:
            return self._jobs.get(job_id).is_active
        except NotFoundError:
            return False

    def _was_cancelled(self, job_id: str) -> bool:
        try:
            return self._jobs.get(job_id).state is State.CANCELLED
        except NotFoundError:
            return False

    # -- in the thread of the job ----------------------------------------------------------------

    def _work(self, ref: str, order: Order, teller: Teller) -> Outcome:
        entry, is_alone = self._found(ref)
        tries = tries_for(self._tries.get(ref), entry.disk_image_sha)
        base, mend = self._memory.base(), False
        if order.by is Actor.SYSTEM:
            mend = is_alone and tries.may_mend(self._steady())
            order = replace(order, mend=mend, is_told=tries.is_told)
        after: Tries | None = tries.failed(self._steady(), has_other_bytes=False)
        try:
            held = self._warming.warm(entry, order, lambda words: teller.tell(Step(words)))
            self._memory.fetched(base, ref, held, at=self._steady())
            after = None
        except CancelledError:
            after = tries.cancelled()
            raise
        except ConflictError:
            after = tries.failed(self._steady(), has_other_bytes=mend)
            raise
        finally:
            self._ended(entry, after)
        sentence = f"the cache has it, {held.size_bytes or 'some'} bytes"
        return Outcome(sentence, {"url": held.url})

    def _found(self, ref: str) -> tuple[CatalogEntry, bool]:
        """The image, and whether no other one would be kept in its place."""
        entries = self._database.read(catalog.listed)
        found = next((entry for entry in entries if entry.bty_image_ref == ref), None)
        if found is None:
            raise NotFoundError("the image was removed from the catalog")
        place = place_in_cache(found.src)
        there = sum(place_in_cache(entry.src) == place for entry in entries)
        return self._refreshed(found), there == 1

    def _ended(self, entry: CatalogEntry, after: Tries | None) -> None:
        ref = entry.bty_image_ref
        with self._lock:
            self._ids.pop(ref, None)
            self._memory.warming(ref, None)
            if after is None:
                self._tries.pop(ref, None)
            else:
                self._tries[ref] = after
        self._memory.announce_one(entry)

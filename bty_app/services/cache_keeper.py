"""Looks what the cache has, and sees to it that it has what machines are bound to.

Threads: any may call; `turn` is for the scheduler. No request waits for the cache here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence

from bty_app import logs
from bty_app.domain.cache_state import CacheState, Seen, Told, due
from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.events import Actor
from bty_app.domain.jobs import Job
from bty_app.errors import BtyError, ConflictError
from bty_app.services.cache_memory import CacheMemory
from bty_app.services.warm_jobs import WarmJobs
from bty_app.store import catalog
from bty_app.store.database import Database, Tx
from bty_app.upstream.withcache import Withcache

TURN_SECONDS = 5.0  # the scheduler's other tasks wait so long at most
LIST_SECONDS = 2.0  # each of two questions
LOOK_SECONDS = 2.0
FAILURES = 2  # looks in a row without an answer, until a turn ends

_log = logging.getLogger(__name__)


class CacheKeeper:
    """The cache as the catalog needs it.

    One that is dead or slow costs nothing but a few seconds of each turn: of those who ask for a
    state nobody waits, and nothing is ordered while it is away.
    """

    def __init__(
        self,
        database: Database,
        memory: CacheMemory,
        withcache: Withcache,
        jobs: WarmJobs,
        *,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._memory = memory
        self._withcache = withcache
        self._jobs = jobs
        self._steady = steady

    def state(self, entry: CatalogEntry) -> CacheState:
        """Where the image stands, as far as it is known: nobody is asked."""
        return self._memory.state(entry)

    def counts(self) -> Mapping[str, int]:
        """How many images stand how, as of the last turn."""
        return self._memory.counts()

    def warm(self, entry: CatalogEntry, *, force: bool = False) -> Job:
        """An operator wants the image in the cache; `force`: fetched anew.

        Raises:
            ConflictError: no cache is configured, it is under way already, or too many jobs wait.
        """
        if not self._memory.base():
            raise ConflictError("no cache is configured: set withcache.url")
        self._jobs.asked(entry.bty_image_ref)
        return self._jobs.order(entry, Actor.OPERATOR, force=force)

    def bound(self, ref: str) -> None:
        """A machine was bound to the image to be flashed with it. Waits for nobody, never fails."""
        try:
            if not self._memory.base():
                return
            entry = self._database.read(lambda tx: catalog.by_ref(tx, ref))
            if entry is not None:
                self._jobs.asked(ref)
                self._jobs.order_if_needed(entry, unseen=True)
        except BtyError as error:  # the next turn looks again
            logs.event(_log, logging.WARNING, "unwarmed", image=ref, error=error.message)

    def turn(self) -> None:
        """Look what the cache has, and order what is bound and missing; a few seconds at most."""
        base = self._memory.base()
        if not base:
            self._memory.forget()
            return
        entries, bound = self._database.read(_images)
        self._ask(base, entries, bound)
        self._jobs.settle(frozenset(entry.bty_image_ref for entry in entries))
        for entry in entries:
            if entry.bty_image_ref in bound:
                self._jobs.order_if_needed(entry)
        self._memory.announce(entries)

    def _ask(self, base: str, entries: Sequence[CatalogEntry], bound: frozenset[str]) -> None:
        began = self._steady()
        try:
            listed = self._withcache.listed(base, seconds=LIST_SECONDS)
        except BtyError as error:
            if self._memory.away(base):
                logs.event(_log, logging.WARNING, "cache", url=base, error=error.message)
            return
        told = Told(base, answers=True, listed=listed)
        wanted = due(entries, told, self._memory.seen(base), bound=bound, now=began)
        looks = self._looked(told, wanted, until=began + TURN_SECONDS)
        # Of a cache that lists nothing only what is bound is asked for: the rest is unknown.
        keep = bound if listed is None else frozenset(e.bty_image_ref for e in entries)
        self._memory.answered(told, looks, keep)

    def _looked(
        self, told: Told, wanted: Sequence[CatalogEntry], *, until: float
    ) -> dict[str, Seen]:
        """What looks for the `wanted` images find, as many as there is time for.

        Only the bytes' own digest counts: what the cache lists may be what somebody declared.
        """
        looks: dict[str, Seen] = {}
        failures = 0
        for entry in wanted:
            now = self._steady()
            if now >= until or failures == FAILURES:
                break
            listed = told.listed.get(entry.src) if told.listed else None
            seconds = min(LOOK_SECONDS, until - now)
            try:
                held = self._withcache.look(told.base, entry.src, seconds=seconds)
            except BtyError:
                failures += 1
                looks[entry.bty_image_ref] = Seen(now, listed, answered=False)
            else:
                failures = 0
                looks[entry.bty_image_ref] = Seen(now, listed, held)
        return looks


def _images(tx: Tx) -> tuple[list[CatalogEntry], frozenset[str]]:
    return catalog.listed(tx), catalog.bound_to_flash(tx)

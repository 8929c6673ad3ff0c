"""Does the cache have these very bytes? A dead or slow cache costs a boot next to nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from bty_app.domain.breaker import Breaker
from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.image_events import cache_failed, cache_recovered
from bty_app.domain.image_target import NO_CACHE, Cached
from bty_app.domain.moments import stamp
from bty_app.domain.settings import WITHCACHE_URL
from bty_app.domain.withcache import Held
from bty_app.errors import BtyError, UnavailableError
from bty_app.services.audit import record_if_possible
from bty_app.services.clock import Clock, utc_now
from bty_app.services.recent import Recent
from bty_app.services.settings import Settings
from bty_app.store.database import Database
from bty_app.upstream.http import BusyError
from bty_app.upstream.withcache import Withcache

LOOK_SECONDS = 2.0
FRESH_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Look:
    held: Held | None


class ImageCache:
    """Any thread may call; what many want to know is asked once in five seconds."""

    def __init__(
        self,
        settings: Settings,
        withcache: Withcache,
        database: Database,
        *,
        clock: Clock = utc_now,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._withcache = withcache
        self._database = database
        self._clock = clock
        self._steady = steady
        self._looks: Recent[_Look] = Recent(
            seconds=FRESH_SECONDS, failed_seconds=FRESH_SECONDS, steady=steady
        )
        self._lock = threading.Lock()
        self._breakers: dict[str, Breaker] = {}

    def look(self, entry: CatalogEntry) -> Cached:
        """Whether the cache has what the catalog names, compared by digest. Never fails.

        Two URLs that differ in their query share their bytes in the cache: without the digest,
        one image would be handed out for the other.
        """
        base = self._settings.text(WITHCACHE_URL)
        if not base:
            return NO_CACHE
        try:
            look = self._looks.get(f"{base} {entry.src}", lambda: self._ask(base, entry.src))
        except BtyError:
            return Cached(configured=True)
        held = look.held
        wanted = entry.disk_image_sha
        if held is None or (wanted is not None and held.sha256 != wanted):
            return Cached(configured=True, hit=False)
        return Cached(configured=True, hit=True, url=held.url)

    def _ask(self, base: str, origin: str) -> _Look:
        with self._lock:
            breaker = self._breakers.get(base, Breaker())
            if not breaker.allows(self._steady()):
                raise UnavailableError(f"{base} has not answered lately")
            self._breakers = {base: breaker.asking(self._steady(), seconds=LOOK_SECONDS)}
        try:
            held = self._withcache.look(base, origin, seconds=LOOK_SECONDS)
        except BusyError:
            raise  # our own crowd, and no fault of the cache
        except BtyError as error:
            self._judged(base, error)
            raise
        self._judged(base, None)
        return _Look(held)

    def _judged(self, base: str, error: BtyError | None) -> None:
        """Remember whether it answered; an event when that has changed."""
        with self._lock:
            before = self._breakers.get(base, Breaker())
            now = before.failed(self._steady()) if error else before.answered()
            self._breakers[base] = now
        if now.is_open == before.is_open:
            return
        event = cache_failed(base, error) if error else cache_recovered(base)
        record_if_possible(self._database, event, at=stamp(self._clock()))

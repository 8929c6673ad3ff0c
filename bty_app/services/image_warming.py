"""Has the cache fetch an image before a machine wants it (CONTRACT 8.7)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from bty_app.domain import image_events
from bty_app.domain.cache_state import has_very_bytes
from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.events import Actor, Event
from bty_app.domain.moments import stamp
from bty_app.domain.settings import WITHCACHE_URL
from bty_app.domain.withcache import Held, entry_name
from bty_app.errors import BtyError, CancelledError, ConflictError, UnavailableError
from bty_app.services.audit import record_if_possible
from bty_app.services.clock import Clock, utc_now
from bty_app.services.settings import Settings
from bty_app.store.database import Database
from bty_app.upstream.withcache import Withcache

POLL_SECONDS = 2.0
ASK_EVERY = 15  # polls: whether the fetch is still under way
ASK_SECONDS = 10.0
MOST_SECONDS = 6 * 3600.0
MOST_UNTOLD_SECONDS = 3600.0  # of a cache that does not say whether it is fetching still
GIVEN_UP = 2  # fetches that the cache gave up, until we do
SILENT = 5  # polls in a row without an answer, until we take it for dead


@dataclass(frozen=True, slots=True)
class Order:
    """Who has an image fetched, and how.

    `force` fetches it anew also when the cache has something; `mend` only when that is not what the
    catalog names. `was_missing`: the cache was seen without it, so that it is news when it has it.
    `is_told`: a failure is in the audit log already.
    """

    by: Actor = Actor.OPERATOR
    force: bool = False
    mend: bool = False
    was_missing: bool = False
    is_told: bool = False


class Warming:
    """One image at a time, while its caller waits."""

    def __init__(
        self,
        database: Database,
        withcache: Withcache,
        settings: Settings,
        *,
        password: str,
        clock: Clock = utc_now,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._database = database
        self._withcache = withcache
        self._settings = settings
        self._password = password
        self._clock = clock
        self._pause = pause

    def warm(self, entry: CatalogEntry, order: Order, tell: Callable[[str], None]) -> Held:
        """Return when the cache has the very bytes of the catalog; `tell` hears how it goes.

        What `tell` raises ends it; the cache goes on with what it has begun.

        Raises:
            ConflictError: no cache is configured, or it has other bytes than the catalog says.
            UnavailableError: the cache does not answer, refuses, or cannot fetch it.
        """
        base = self._settings.text(WITHCACHE_URL)
        if not base:
            raise ConflictError("no cache is configured: set withcache.url")
        try:
            tell("asking the cache")
            before = self._withcache.look(base, entry.src, seconds=ASK_SECONDS)
            wanted = (
                order.force or before is None or (order.mend and not has_very_bytes(entry, before))
            )
            held = self._fetched(base, entry, before, tell) if before is None or wanted else before
            _check_bytes(entry, held)
        except CancelledError:
            raise
        except BtyError as error:
            if not order.is_told:
                self._record(image_events.warm_failed(entry, error, order.by))
            raise
        if wanted or order.was_missing or order.by is Actor.OPERATOR:
            self._record(image_events.warmed(entry, held, order.by))
        return held

    def _fetched(
        self, base: str, entry: CatalogEntry, before: Held | None, tell: Callable[[str], None]
    ) -> Held:
        """What the cache has after it fetched the image, anew if it has something `before`."""
        name, force = entry_name(entry.name, entry.bty_image_ref), before is not None
        told = self._withcache.list_image(base, name, entry.src, password=self._password)
        if not told and force:
            raise ConflictError(
                f"{base} is older than 0.10: remove the image on its own page first"
            )
        job = self._start(base, name, force=force) if told else None
        most = MOST_SECONDS if told else MOST_UNTOLD_SECONDS
        given_up = silent = 0
        for turn in range(1, int(most / POLL_SECONDS)):
            tell(f"the cache is fetching, {(turn - 1) * POLL_SECONDS:.0f} s")
            self._pause(POLL_SECONDS)
            try:
                held = self._withcache.look(base, entry.src, seconds=ASK_SECONDS)
            except UnavailableError:
                silent += 1  # it may be starting anew
                if silent >= SILENT:
                    raise
                continue
            silent = 0
            if held is not None:
                return held
            if told and turn % ASK_EVERY == 0:
                # Seldom: a fetch that ends just before this is begun once more.
                now = self._start(base, name, force=False)
                given_up += now != job  # the fetch before has ended, and there is nothing
                job = now
            if given_up >= GIVEN_UP:
                raise UnavailableError(
                    f"{base} cannot fetch {entry.name}; its own pages have the reason"
                )
        raise UnavailableError(f"{base} has not fetched {entry.name} in {most:.0f} s")

    def _start(self, base: str, name: str, *, force: bool) -> int:
        return self._withcache.start(base, name, password=self._password, force=force)

    def _record(self, event: Event) -> None:
        record_if_possible(self._database, event, at=stamp(self._clock()))


def _check_bytes(entry: CatalogEntry, held: Held) -> None:
    if not has_very_bytes(entry, held):
        raise ConflictError(
            f"the cache has other bytes of {entry.name} than the catalog says: an older image, or"
            " that of another address with the same path; fetch it anew with --force"
        )

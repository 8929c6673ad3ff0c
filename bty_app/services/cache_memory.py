"""What is known of the cache at this moment: in memory, for whoever shows it.

Threads: any may call; nothing here waits for anything but a lock.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from bty_app.domain.cache_state import CacheState, Seen, Told, state_of
from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.settings import WITHCACHE_URL
from bty_app.domain.withcache import Held
from bty_app.services.revisions import Revisions
from bty_app.services.settings import Settings

TOPIC = frozenset({"cache"})


class CacheMemory:
    """Of one cache at a time: of another one nothing is known at first."""

    def __init__(self, settings: Settings, revisions: Revisions) -> None:
        self._settings = settings
        self._revisions = revisions
        self._lock = threading.Lock()
        self._told = Told()
        self._seen: dict[str, Seen] = {}
        self._warming: dict[str, Callable[[], bool]] = {}
        self._shown: dict[str, CacheState] = {}

    # -- reading -------------------------------------------------------------------------------

    def base(self) -> str:
        """The URL of the cache; empty where none is configured."""
        return self._settings.text(WITHCACHE_URL)

    def state(self, entry: CatalogEntry) -> CacheState:
        """Where the image stands."""
        base, ref = self.base(), entry.bty_image_ref
        with self._lock:
            told, seen, is_active = self._told, self._seen.get(ref), self._warming.get(ref)
        if told.base != base:
            told, seen = Told(base), None
        return state_of(entry, told, seen, is_warming=is_active is not None and is_active())

    def seen(self, base: str) -> dict[str, Seen]:
        """What looks at the cache at `base` have found, by ref."""
        with self._lock:
            return dict(self._seen) if base == self._told.base else {}

    def counts(self) -> Mapping[str, int]:
        """How many images are how, as last announced."""
        with self._lock:
            return Counter(state.kind.value for state in self._shown.values())

    # -- learning ------------------------------------------------------------------------------

    def answered(self, told: Told, looks: Mapping[str, Seen], keep: frozenset[str]) -> None:
        """The cache answers, and looks at it found this; of others than `keep` nothing is known.

        All at once: nobody sees an image between two states.
        """
        with self._lock:
            seen = self._seen if told.base == self._told.base else {}
            for ref, look in looks.items():
                if ref not in seen or seen[ref].at <= look.at:  # else it was fetched meanwhile
                    seen[ref] = look
            self._told = told
            self._seen = {ref: look for ref, look in seen.items() if ref in keep}

    def away(self, base: str) -> bool:
        """The cache does not answer; whether that is news."""
        with self._lock:
            is_news = (self._told.base, self._told.answers) != (base, False)
            # It may come back with an empty disk.
            self._told, self._seen = Told(base, False), {}
            return is_news

    def fetched(self, base: str, ref: str, held: Held, *, at: float) -> None:
        """The cache at `base` has fetched the image."""
        with self._lock:
            if base != self._told.base:
                self._told, self._seen = Told(base, True), {}
            self._seen[ref] = Seen(at, held=held, is_fetched=True)

    def warming(self, ref: str, is_active: Callable[[], bool] | None) -> None:
        """A job has the cache fetch the image, as long as `is_active` says so; None: it ended."""
        with self._lock:
            if is_active is None:
                self._warming.pop(ref, None)
            else:
                self._warming[ref] = is_active

    def forget(self) -> None:
        """No cache is configured."""
        with self._lock:
            self._told, self._seen = Told(), {}
        self.announce([])

    # -- telling -------------------------------------------------------------------------------

    def announce(self, entries: Sequence[CatalogEntry]) -> None:
        """These are all images: a new revision if any stands otherwise than last time."""
        states: dict[str, CacheState] = {e.bty_image_ref: self.state(e) for e in entries}
        with self._lock:
            is_news, self._shown = states != self._shown, states
        if is_news:
            self._revisions.bump(TOPIC)

    def announce_one(self, entry: CatalogEntry) -> None:
        """The same for one image."""
        state = self.state(entry)
        with self._lock:
            is_news = self._shown.get(entry.bty_image_ref) != state
            self._shown[entry.bty_image_ref] = state
        if is_news:
            self._revisions.bump(TOPIC)

"""Work on the catalog that takes long, as jobs: look upstream, take it, check, warm.

Threads: any may call.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.catalog_diff import CatalogDiff, Offered
from bty_app.domain.catalog_events import counted, plain
from bty_app.domain.jobs import Job, Step, Teller
from bty_app.services import warm_jobs
from bty_app.services.cache_keeper import CacheKeeper
from bty_app.services.catalog import Catalog
from bty_app.services.catalog_checks import CatalogChecks
from bty_app.services.catalog_upstream import CatalogUpstream
from bty_app.services.clock import Clock, utc_now
from bty_app.services.jobs import Jobs

FETCH, CHECK, WARM = "catalog", "catalog-check", warm_jobs.KIND
KINDS = (FETCH, CHECK, WARM)
FETCH_KEY, ALL_KEY = "fetch", "all"
RECENT_SECONDS = 1800.0
MOST_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Tools:
    """What the jobs work with."""

    catalog: Catalog
    upstream: CatalogUpstream
    checks: CatalogChecks
    keeper: CacheKeeper


class CatalogJobs:
    """Submits them, and keeps what a look upstream has found."""

    def __init__(self, jobs: Jobs, tools: Tools, clock: Clock = utc_now) -> None:
        self._jobs = jobs
        self._catalog = tools.catalog
        self._upstream = tools.upstream
        self._checks = tools.checks
        self._keeper = tools.keeper
        self._clock = clock
        self._looked: Offered | None = None

    # -- the catalog that is followed -------------------------------------------------------------

    def look(self) -> Job:
        """See what upstream has; `found` tells it afterwards.

        Raises:
            ConflictError: it is looked at or taken already, or too many jobs wait.
        """

        def work(teller: Teller) -> str:
            self._looked = None
            teller.tell(Step("asking for it"))
            self._looked = offered = self._upstream.look()
            return f"it lists {len(offered.images)}"

        return self._jobs.submit(FETCH, FETCH_KEY, f"look at {self._source()}", work)

    def found(self) -> CatalogDiff | None:
        """What taking the catalog that was looked at last would change now."""
        offered = self._looked
        if offered is None or offered.source != self._upstream.source():
            return None
        return self._upstream.compare(offered)

    def take(self, expected: str | None, *, allow_shrink: bool, ip: str | None) -> Job:
        """Take the catalog of this digest, or whatever upstream has.

        Raises:
            ConflictError: it is looked at or taken already, or too many jobs wait.
        """

        def work(teller: Teller) -> str:
            teller.tell(Step("taking it"))
            taken = self._upstream.take(ip=ip, expected=expected, allow_shrink=allow_shrink)
            return counted(taken) if taken else "it has not changed since it was taken last"

        return self._jobs.submit(FETCH, FETCH_KEY, f"take {self._source()}", work)

    # -- images -----------------------------------------------------------------------------------

    def check(self, entry: CatalogEntry) -> Job:
        """Ask the origin of one image.

        Raises:
            ConflictError: it is asked already, or too many jobs wait.
        """

        def work(_teller: Teller) -> str:
            return self._checks.check(entry).words()

        key = entry.bty_image_ref
        return self._jobs.submit(CHECK, key, f"check {plain(entry.name)}", work)

    def check_all(self) -> Job:
        """Ask the origin of every image, one after the other.

        Raises:
            ConflictError: that is under way already, or too many jobs wait.
        """

        def work(teller: Teller) -> str:
            entries = self._catalog.entries()
            found: Counter[str] = Counter()
            for number, entry in enumerate(entries, 1):
                teller.tell(Step(f"{number} of {len(entries)}: {plain(entry.name)}"))
                checked = self._checks.check(entry)
                found["silent" if checked.error else "good" if checked.is_good else "other"] += 1
            return (
                f"{found['good']} as the catalog says, {found['other']} different,"
                f" {found['silent']} without a good answer"
            )

        return self._jobs.submit(CHECK, ALL_KEY, "check all images", work)

    def warm(self, entry: CatalogEntry, *, force: bool) -> Job:
        """Have the cache fetch an image.

        Raises:
            ConflictError: no cache is configured, it is under way, or too many jobs wait.
        """
        return self._keeper.warm(entry, force=force)

    # -- what is shown ----------------------------------------------------------------------------

    def is_active(self, kind: str, key: str) -> bool:
        """Whether this very job waits or runs."""
        job = self._jobs.latest(kind, key)
        return job is not None and job.is_active

    def fetching(self) -> Job | None:
        """The last job that looked upstream or took it."""
        return self._jobs.latest(FETCH, FETCH_KEY)

    def warming(self) -> dict[str, Job]:
        """The images that are being warmed, by ref."""
        return {job.key: job for job in self._jobs.listed(WARM) if job.is_active}

    def shown(self) -> tuple[list[Job], int]:
        """The jobs for a page, under way or ended lately, and how many more wait."""
        since = self._clock().timestamp() - RECENT_SECONDS
        jobs = [job for job in self._jobs.listed() if job.kind in KINDS]
        active = [job for job in jobs if job.is_active][::-1]
        ended = [job for job in jobs if not job.is_active and (job.ended_at or 0) >= since]
        room = max(3, MOST_SHOWN - len(active))
        return [*active[:MOST_SHOWN], *ended[:room]], max(0, len(active) - MOST_SHOWN)

    def _source(self) -> str:
        return plain(self._upstream.source()) or "the upstream catalog"

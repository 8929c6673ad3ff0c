"""The catalog that is followed: looked at first, then taken as it was shown."""

from __future__ import annotations

import falcon

from bty_app.domain.catalog_events import counted, shown
from bty_app.domain.jobs import State
from bty_app.services.catalog_jobs import FETCH, FETCH_KEY, CatalogJobs
from bty_app.services.catalog_upstream import CatalogUpstream
from bty_app.services.revisions import Revisions
from bty_app.web.forms import form_of
from bty_app.web.pages import Answer, Pages, see_other
from bty_app.web.ui.live_part import LivePart

HERE = "/ui/catalog/fetch"
TOPICS = ("catalog", "machines", "jobs", "settings")
FIELDS = {"disk_image_sha": "digest", "size_bytes": "size", "arch": "architecture"}
MOST_LISTED = 200  # of each kind of change; the counts are exact


class FetchState(LivePart):
    """What upstream has against what is here, made once for all who look at it."""

    def __init__(
        self, pages: Pages, upstream: CatalogUpstream, jobs: CatalogJobs, revisions: Revisions
    ) -> None:
        super().__init__(pages, "catalog_fetch_state.html", HERE)
        self._upstream = upstream
        self._jobs = jobs
        self._revisions = revisions

    def revision(self) -> str:
        """The revision of all that it shows."""
        return self._revisions.current(*TOPICS)

    def is_active(self) -> bool:
        """Whether something is under way."""
        return self._jobs.is_active(FETCH, FETCH_KEY)

    def values(self) -> dict[str, object]:
        """What the template shows."""
        job = self._jobs.fetching()
        found = None if job and job.is_active else self._jobs.found()
        return {
            "source": self._upstream.source(),
            "taken": self._upstream.taken(),
            "job": job,
            "failed": job is not None and job.state is State.FAILED,
            "found": found,
            "counted": counted(found) if found else "",
            "shown": shown,
            "fields": FIELDS,
            "most": MOST_LISTED,
        }


class FetchPage:
    """`/ui/catalog/fetch`."""

    def __init__(self, pages: Pages, state: FetchState, jobs: CatalogJobs) -> None:
        self._pages = pages
        self._state = state
        self._jobs = jobs

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """What taking the upstream catalog would change, as it was seen at the last look."""
        values: dict[str, object] = {
            "active": self._state.is_active(),
            "state": self._state.html(),
            "here": HERE,
        }
        self._pages.render(req, resp, Answer("catalog_fetch.html", values))

    def on_post(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Look at the upstream catalog, as a job; 303 to the page that shows it."""
        if not self._state.is_active():
            self._jobs.look()
        see_other(resp, HERE)


class FetchRelease:
    """`/ui/catalog/fetch-release` (CONTRACT 3.9)."""

    def __init__(self, jobs: CatalogJobs) -> None:
        self._jobs = jobs

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Take the upstream catalog, that of the digest `expected` where it is given, as a job."""
        form = form_of(req)
        self._jobs.take(
            form.text("expected") or None,
            allow_shrink=form.text("allow_shrink") == "1",
            ip=req.context.client_ip,
        )
        see_other(resp, HERE)

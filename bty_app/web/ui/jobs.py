"""The jobs that a page shows, and the button that ends one."""

from __future__ import annotations

import falcon

from bty_app.services.jobs import Jobs
from bty_app.web.forms import form_of
from bty_app.web.pages import see_other, way_back


class JobCancel:
    """`/ui/jobs/{job_id}/cancel`."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def on_post(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        """End the job; 303 to the page that asked."""
        self._jobs.cancel(job_id)
        see_other(resp, way_back(form_of(req).text("return_to"), "/ui"))

"""Where this appliance has moved to: what went, when, and how it comes back."""

from __future__ import annotations

import falcon

from bty_app.domain.events import Query
from bty_app.services.audit import Audit
from bty_app.services.departure import Departure
from bty_app.web.pages import Answer, Pages

HERE = "/ui/moved"
EVENTS_SHOWN = 10
WENT = (
    "Machines, catalog, settings, events and API tokens",
    "The live environment and all other files that machines boot",
    "The catalog file",
)
STAYED = (
    "Backups, archives and damaged databases: copy them if you want them there",
    "This database, as it was at the move: nothing has been changed in it since",
)


class MovedPage:
    """`/ui/moved`."""

    def __init__(self, pages: Pages, departure: Departure, audit: Audit) -> None:
        self._pages = pages
        self._departure = departure
        self._audit = audit

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """How it stands with a move, whether there was one or not."""
        mark = self._departure.mark()
        values: dict[str, object] = {
            "mark": mark,
            "leaving": self._departure.refusal() if mark is None else "",
            "went": WENT,
            "stayed": STAYED,
            "events": self._audit.listed(
                Query(subject_kind="system", subject_id="migration", limit=EVENTS_SHOWN)
            ),
        }
        self._pages.render(req, resp, Answer("moved.html", values))

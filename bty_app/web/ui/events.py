"""The events page: what happened, newest first, and what still waits for a look."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

import falcon

from bty_app.domain.event_filters import ANY, Filters, around, filters_of
from bty_app.domain.events import Actor, Kind, StoredEvent, asks_for_acknowledgement
from bty_app.errors import NotFoundError, ValidationError
from bty_app.services.audit import SEARCHED, Audit
from bty_app.services.revisions import Revisions
from bty_app.web.forms import form_of
from bty_app.web.pages import Answer, Pages, see_other, way_back
from bty_app.web.ui.shared import Shared

ROWS = 50
MAX_IDS = 500


@dataclass(frozen=True, slots=True)
class EventQuery:
    """What the address says: the filters, and only what is older than an id."""

    filters: Filters = ANY
    before: int | None = None

    def address(self, *, before: int | None = None) -> str:
        """The query string, of the page that begins before this id."""
        return self.filters.address(before="" if before is None else str(before))


@dataclass(frozen=True, slots=True)
class Row:
    """An event; `waits` while it is a failure that nobody has acknowledged."""

    event: StoredEvent
    failure: bool
    around: tuple[str, str]

    @property
    def waits(self) -> bool:
        """Whether it counts in the badge."""
        return self.failure and not self.event.acknowledged


class EventTable:
    """The table for a query, made once for all who look at it."""

    def __init__(self, pages: Pages, audit: Audit, revisions: Revisions) -> None:
        self._pages = pages
        self._audit = audit
        self._revisions = revisions
        self._shared: Shared[str] = Shared()

    def revision(self) -> str:
        """The revision of the audit log."""
        return self._revisions.current("events")

    def html(self, query: EventQuery, *, exact: bool = True) -> str:
        """The table, marked with its revision."""
        revision = self.revision()
        key = query.address(before=query.before)
        return self._shared.get(key, revision, lambda: self._made(query, revision), exact=exact)

    def send(self, resp: falcon.Response, query: EventQuery) -> None:
        """Answer with the table alone."""
        self._pages.send_part(resp, self.html(query, exact=False))

    def _made(self, query: EventQuery, revision: str) -> str:
        try:
            found = self._audit.search(query.filters, before=query.before, limit=ROWS + 1)
        except ValidationError as error:
            return self._pages.part("events_problem.html", {"problem": error.message})
        rows = [_row(event) for event in found.rows[:ROWS]]
        newest = found.rows[0].id if found.rows else 0
        more = len(found.rows) > ROWS
        waiting = self._audit.waiting(query.filters, up_to=newest) if found.rows else 0
        address = query.address(before=query.before)
        values: dict[str, object] = {
            "query": query,
            "rows": rows,
            "filters": query.filters,
            "newest": newest,
            "waiting": waiting,
            "older": query.address(before=found.rows[ROWS - 1].id) if more else None,
            "further": query.address(before=found.stopped_at) if found.stopped_at else None,
            "searched": SEARCHED,
            "poll": f"/ui/events/rows?{urlencode({'rev': revision})}&{address}",
        }
        return self._pages.part("events_list.html", values)


class EventsPage:
    """`/ui/events`."""

    def __init__(self, pages: Pages, table: EventTable) -> None:
        self._pages = pages
        self._table = table

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The page; everything about it is in its address."""
        query = query_of(req)
        address = query.address(before=query.before)
        values: dict[str, object] = {
            "query": query,
            "filters": query.filters,
            "kinds": [kind.value for kind in Kind],
            "actors": [actor.value for actor in Actor],
            "table": self._table.html(query),
            "here": f"/ui/events?{address}",
        }
        if req.get_header("HX-Request"):
            resp.set_header("HX-Replace-Url", f"/ui/events?{address}")
        self._pages.render(req, resp, Answer("events.html", values))


class EventMarksMatching:
    """`/ui/events/acknowledge-matching`."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Acknowledge what passes the filters of the form, up to the id `up_to`: 303 back."""
        form = form_of(req)
        filters = filters_of(form.text)
        up_to = _ids((form.text("up_to") or "",))
        self._audit.acknowledge_matching(filters, up_to=up_to[0] if up_to else 0)
        see_other(resp, way_back(form.text("return_to"), f"/ui/events?{filters.address()}"))


class EventMarks:
    """`/ui/events/acknowledge`: set or clear the marks of events (CONTRACT 3.9)."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """A page goes back to where it was; a script gets `{"updated", "acknowledged"}`."""
        form = form_of(req)
        ids = _ids(form.every("ids"))
        acknowledged = form.text("acknowledged") != "0"
        updated = sum(self._marked(event_id, acknowledged=acknowledged) for event_id in ids)
        if "text/html" in (req.get_header("Accept") or ""):
            see_other(resp, way_back(form.text("return_to"), "/ui/events"))
            return
        resp.media = {"updated": updated, "acknowledged": acknowledged}

    def _marked(self, event_id: int, *, acknowledged: bool) -> bool:
        try:
            self._audit.acknowledge(event_id, acknowledged=acknowledged)
        except NotFoundError:
            return False
        return True


def query_of(req: falcon.Request) -> EventQuery:
    before = req.get_param("before") or ""
    return EventQuery(
        filters_of(req.get_param),
        int(before) if before.isascii() and before.isdigit() and len(before) < 18 else None,
    )


def _row(event: StoredEvent) -> Row:
    return Row(event, _is_failure(event), around(event.ts))


def _ids(values: tuple[str, ...]) -> list[int]:
    texts = [part.strip() for value in values for part in value.split(",") if part.strip()]
    if len(texts) > MAX_IDS:
        raise ValidationError(f"ids: at most {MAX_IDS} at once")
    if not all(text.isascii() and text.isdigit() and len(text) < 18 for text in texts):
        raise ValidationError("ids: must be whole numbers")
    return [int(text) for text in texts]


def _is_failure(event: StoredEvent) -> bool:
    return asks_for_acknowledgement(event.kind)

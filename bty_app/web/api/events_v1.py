"""The audit log, for scripts: what only this program has (under /api/v1)."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping

import falcon

from bty_app.domain.event_filters import MAX_TEXT, Filters, filters_of
from bty_app.domain.events import StoredEvent
from bty_app.errors import UnavailableError
from bty_app.services.audit import Audit
from bty_app.web.api.events import EVENT
from bty_app.web.api.paging import LINK, NEXT, PAGING, USUAL_LIMIT, next_address, place_in
from bty_app.web.operations import Answer, Body, Operation, answers, declared
from bty_app.web.records import Items, Record, parameters, record
from bty_app.web.shapes import Flag, Shape, Text, Whole, Word

LINES = "application/jsonl"
AT_ONCE = 2  # each holds a thread for as long as its reader takes
CHUNK = 64 * 1024
_PLACE = "events"

_WHEN = "A moment, or how long ago: 30m, 24h, 7d."
_FILTERS: dict[str, Word] = {
    "q": Text("A part of what a person reads.", most=MAX_TEXT),
    "kind": Text("A kind; `*` stands for any characters.", most=MAX_TEXT),
    "subject_kind": Text("machine, catalog ...", most=MAX_TEXT),
    "subject_id": Text("Of a machine, its MAC.", most=MAX_TEXT),
    "actor": Text("operator, pxe-client or system.", most=MAX_TEXT),
    "source_ip": Text(most=MAX_TEXT),
    "since": Text(_WHEN, most=MAX_TEXT),
    "until": Text(f"{_WHEN} That itself is left out.", most=MAX_TEXT),
    "failed": Flag("Those whose kind ends with failed."),
    "open": Flag("Those that wait for an acknowledgement."),
}
_LIST = Operation(
    answers("A part of the list.", record(events=Items(EVENT), next=NEXT), Link=LINK),
    query=parameters(**_FILTERS, after=Whole("Only rows behind this id."), **PAGING),
)
_EXPORT = Operation((Answer(200, "One row a line.", media=LINES),), query=parameters(**_FILTERS))
_UP_TO: dict[str, Shape] = {"up_to": Whole("The id of the newest row that was seen.")}
_ACKNOWLEDGE = Operation(
    answers("So many are marked.", record(acknowledged=Whole())),
    body=Body(
        Record(
            {**_UP_TO, **_FILTERS},
            optional=frozenset(_FILTERS),
            example={"up_to": 4711, "kind": "machine.*"},
        )
    ),
)


class Events:
    """`/api/v1/events`."""

    operations = declared(GET=_LIST)

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The rows that pass the filters, part by part, newest first. A search that must look at
        many rows gives few in a part, or none, and goes on in the next.
        """
        asked = _LIST.query_of(req)
        limit, place = asked["limit"] or USUAL_LIMIT, place_in(asked["cursor"], _PLACE)
        before = Whole("").from_text(place, "cursor") if place else None
        after = asked.pop("after") or 0
        found = self._audit.search(_filters(asked), before=before, after=after, limit=limit)
        more = found.stopped_at
        if len(found.rows) == limit:
            more = found.rows[-1].id
        resp.media = {
            "events": [row.as_data() for row in found.rows],
            "next": next_address(req, resp, _PLACE, None if more is None else str(more)),
        }


class EventExport:
    """`/api/v1/events.jsonl`."""

    operations = declared(GET=_EXPORT)

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._places = threading.BoundedSemaphore(AT_ONCE)

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """All rows that pass the filters of the events page, oldest first, one JSON a line."""
        rows = self._audit.export(_filters(_EXPORT.query_of(req)))
        if not self._places.acquire(blocking=False):
            raise UnavailableError(f"{AT_ONCE} exports are under way: try again soon")
        resp.content_type = LINES
        resp.set_header("Content-Disposition", 'attachment; filename="events.jsonl"')
        resp.set_header("Cache-Control", "no-store")
        resp.stream = _Lines(rows, self._places.release)


class _Lines:
    """The body, whose end gives the place back, also when the reader has left before."""

    def __init__(self, rows: Iterator[StoredEvent], done: Callable[[], None]) -> None:
        self._rows = rows
        self._done: Callable[[], None] | None = done

    def __iter__(self) -> Iterator[bytes]:
        kept = bytearray()
        for row in self._rows:
            kept += json.dumps(row.as_data(), separators=(",", ":")).encode() + b"\n"
            if len(kept) >= CHUNK:
                yield bytes(kept)
                kept.clear()
        yield bytes(kept)

    def close(self) -> None:
        """The server calls it at the end of every answer (PEP 3333)."""
        done, self._done = self._done, None
        if done is not None:
            done()


class EventsAcknowledge:
    """`/api/v1/events/acknowledge`."""

    operations = declared(POST=_ACKNOWLEDGE)

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """`{"up_to": id, ...filters}`: mark the failures that pass, `{"acknowledged": n}`."""
        given = _ACKNOWLEDGE.body_of(req)
        filters, up_to = _filters(given), given["up_to"]
        resp.media = {"acknowledged": self._audit.acknowledge_matching(filters, up_to=up_to)}


def _filters(given: Mapping[str, str | bool | None]) -> Filters:
    words = {name: "1" if value is True else value or "" for name, value in given.items()}
    return filters_of(words.get)

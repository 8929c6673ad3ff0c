"""The audit log, for scripts: what only this program has (under /api/v1)."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator

import falcon

from bty_app.domain.event_filters import NAMES, filters_of
from bty_app.domain.events import StoredEvent
from bty_app.errors import UnavailableError, ValidationError
from bty_app.services.audit import Audit
from bty_app.web import body

MAX_BODY_BYTES = 16 * 1024
AT_ONCE = 2  # each holds a thread for as long as its reader takes
CHUNK = 64 * 1024


class EventExport:
    """`/api/v1/events.jsonl`."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._places = threading.BoundedSemaphore(AT_ONCE)

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """All rows that pass the filters of the events page, oldest first, one JSON a line."""
        rows = self._audit.export(filters_of(req.get_param))
        if not self._places.acquire(blocking=False):
            raise UnavailableError(f"{AT_ONCE} exports are under way: try again soon")
        resp.content_type = "application/jsonl"
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

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """`{"up_to": id, ...filters}`: mark the failures that pass, `{"acknowledged": n}`."""
        given = body.json_object(req, MAX_BODY_BYTES)
        up_to = given.pop("up_to", None)
        if not isinstance(up_to, int) or isinstance(up_to, bool) or not 0 <= up_to < 2**63:
            raise ValidationError("up_to: must be the id of the newest event that was seen")
        texts = {name: _text(name, value) for name, value in given.items()}
        if unknown := sorted(set(texts) - NAMES):
            raise ValidationError(f"{unknown[0][:40]}: there is no such filter")
        filters = filters_of(texts.get)
        resp.media = {"acknowledged": self._audit.acknowledge_matching(filters, up_to=up_to)}


def _text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "1" if value else ""
    if not isinstance(value, str):
        raise ValidationError(f"{name[:40]}: must be text")
    return value

"""The audit log, for operators' scripts (CONTRACT 3.8)."""

from __future__ import annotations

import falcon

from bty_app.domain.events import Query
from bty_app.errors import ValidationError
from bty_app.services.audit import Audit
from bty_app.web.api.values import MAYBE_TEXT, MOMENT
from bty_app.web.operations import Operation, answers, declared
from bty_app.web.records import Items, Keyed, parameters, record
from bty_app.web.shapes import Anything, Flag, Nullable, Text, Whole

DEFAULT_LIMIT = 50
MAX_LIMIT = 500

EVENT = record(
    "Event",
    id=Whole(),
    ts=MOMENT,
    kind=Text(),
    subject_kind=MAYBE_TEXT,
    subject_id=MAYBE_TEXT,
    actor=Text(),
    source_ip=MAYBE_TEXT,
    summary=Text("A sentence."),
    details=Nullable(Keyed(Anything(), "Of each kind its own.")),
    acknowledged=Flag("A person has seen it."),
)
_LIST = Operation(
    answers("The rows, newest first.", record(events=Items(EVENT))),
    query=parameters(
        kind=Text("Exactly this kind, as with all of these."),
        subject_kind=Text(),
        subject_id=Text(),
        actor=Text(),
        source_ip=Text(),
        failed=Text("1: those whose kind ends with failed."),
        before_id=Whole("Older than the row of this id.", least=None),
        limit=Whole(f"1 to {MAX_LIMIT} ({DEFAULT_LIMIT}).", least=None),
    ),
)


class EventList:
    """Rows that match, newest first."""

    operations = declared(GET=_LIST)

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """`kind`, `subject_kind`, `subject_id`, `actor`, `source_ip`, `failed`, paging."""
        limit = _number(req, "limit")
        query = Query(
            kind=req.get_param("kind"),
            subject_kind=req.get_param("subject_kind"),
            subject_id=req.get_param("subject_id"),
            actor=req.get_param("actor"),
            source_ip=req.get_param("source_ip"),
            failed=(req.get_param("failed") or "").lower() in {"1", "true", "yes", "on"},
            before_id=_number(req, "before_id"),
            limit=min(max(DEFAULT_LIMIT if limit is None else limit, 1), MAX_LIMIT),
        )
        resp.media = {"events": [event.as_data() for event in self._audit.listed(query)]}


class Acknowledgement:
    """The mark that a person has seen a row."""

    operations = declared(
        POST=Operation(answers("It is marked.", record(id=Whole(), acknowledged=Flag())))
    )

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    def on_post(self, _req: falcon.Request, resp: falcon.Response, event_id: int) -> None:
        """Set it."""
        self._audit.acknowledge(event_id)
        resp.media = {"id": event_id, "acknowledged": True}


def _number(req: falcon.Request, name: str) -> int | None:
    text = req.get_param(name)
    if text is None:
        return None
    if len(text) > 18 or not text.isascii() or not text.removeprefix("-").isdigit():
        raise ValidationError(f"{name}: must be a whole number")
    return int(text)

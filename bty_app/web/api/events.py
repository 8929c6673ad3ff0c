"""The audit log, for operators' scripts (CONTRACT 3.8)."""

from __future__ import annotations

import falcon

from bty_app.domain.events import Query
from bty_app.errors import ValidationError
from bty_app.services.audit import Audit

DEFAULT_LIMIT = 50
MAX_LIMIT = 500


class EventList:
    """Rows that match, newest first."""

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

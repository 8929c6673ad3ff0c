"""An old database: what it still holds, picked part by part, reviewed, carried over."""

from __future__ import annotations

from collections.abc import Callable

import falcon

from bty_app.domain.recovering import Choice, Part
from bty_app.errors import (
    BtyError,
    ConflictError,
    InvalidInputError,
    StorageError,
    ValidationError,
)
from bty_app.services.recover import Reading, Recover
from bty_app.web.errors import status_of
from bty_app.web.forms import form_of
from bty_app.web.operator import by_of
from bty_app.web.pages import Answer, see_other
from bty_app.web.ui.change_words import TABLES, lines
from bty_app.web.ui.restore import RestoreView, confirmed

SHOWN = 100
# What a first look picks: what an upgrade leaves behind, and an operator misses.
FIRST = frozenset({Part.BINDINGS, Part.LABELS, Part.CATALOG})


class RecoverPage:
    """`/ui/recover/{name}`."""

    def __init__(self, view: RestoreView, recover: Recover) -> None:
        self._view = view
        self._recover = recover

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """What would come over of the parts that are picked, with the form that confirms it."""
        choice = choice_of(lambda field: tuple(req.get_param_as_list(field) or ()))
        try:
            self._show(req, resp, name, choice)
        except (InvalidInputError, StorageError) as error:
            values: dict[str, object] = {"name": name, "why": error.message}
            status = status_of(error)
            self._view.pages.render(req, resp, Answer("recover_damaged.html", values, status))

    def on_post(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Carry it over, if that still is what was shown: 303 to the page."""
        form = form_of(req)
        choice = choice_of(form.every)
        try:
            path = self._recover.path_of(name)
            self._recover.apply(path, choice, by=by_of(req), digest=confirmed(form))
        except (ConflictError, ValidationError) as error:
            self._show(req, resp, name, choice, error)
            return
        see_other(resp, f"/ui/recover/{name}?done=1")

    def _show(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        name: str,
        choice: Choice,
        problem: BtyError | None = None,
    ) -> None:
        reading = Reading(limit=SHOWN)
        offer = self._recover.preview(self._recover.path_of(name), choice, reading)
        values: dict[str, object] = {
            "name": name,
            "offer": offer,
            "choice": choice,
            "parts": [
                (part, TABLES[part.value], offer.findings.counts[part], offer.counts.get(part))
                for part in Part
            ],
            "lines": lines(offer.rows, self._view.images()),
            "done": req.method == "GET" and bool(req.get_param("done")),
            "problem": problem.message if problem else "",
        }
        status = status_of(problem) if problem else 200
        self._view.pages.render(req, resp, Answer("recover.html", values, status))


def choice_of(every: Callable[[str], tuple[str, ...]]) -> Choice:
    """What an address or a form picks; nothing at all is a first look."""
    known = {part.value: part for part in Part}
    parts = frozenset(known[text] for text in every("part") if text in known)
    return Choice(
        parts or FIRST,
        keep_boot_modes=bool(every("keep")),
        prefer_archive=bool(every("prefer")),
    )

"""An old database: what it still holds, picked part by part, reviewed, carried over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import falcon

from bty_app.domain.mac import parse_mac
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
OLD = "/ui/recover"
# What a first look picks: what an upgrade leaves behind, and an operator misses.
FIRST = frozenset({Part.BINDINGS, Part.LABELS, Part.CATALOG})
EVERY = frozenset(Part) - {Part.HISTORY}  # what a backup is compared by


@dataclass(frozen=True, slots=True)
class Place:
    """Where the page of an old database is, and the page that lists it."""

    find: Callable[[str], Path]
    address: Callable[[str], str]
    back: str
    title: str
    about: Callable[[str], dict[str, object]] = lambda _name: {}
    first: frozenset[Part] = FIRST


class _Page:
    """What an old database knows, and what would come over of it."""

    def __init__(self, view: RestoreView, recover: Recover, place: Place) -> None:
        self._view = view
        self._recover = recover
        self._place = place

    def get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """What would come over of the parts that are picked, with the form that confirms it."""
        choice = choice_of(
            lambda field: tuple(req.get_param_as_list(field) or ()), self._place.first
        )
        try:
            self._show(req, resp, name, choice)
        except ValidationError:
            raise
        except (InvalidInputError, StorageError) as error:
            if self._place.back != OLD:
                raise
            values: dict[str, object] = {"name": name, "why": error.message}
            status = status_of(error)
            self._view.pages.render(req, resp, Answer("recover_damaged.html", values, status))

    def post(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Carry it over, if that still is what was shown: 303 to the page."""
        form = form_of(req)
        choice = choice_of(form.every, self._place.first)
        try:
            path = self._place.find(name)
            self._recover.apply(path, choice, by=by_of(req), digest=confirmed(form))
        except (ConflictError, ValidationError) as error:
            self._show(req, resp, name, choice, error)
            return
        see_other(resp, f"{self._place.address(name)}?{_query(choice)}")

    def _show(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        name: str,
        choice: Choice,
        problem: BtyError | None = None,
    ) -> None:
        reading = Reading(limit=SHOWN)
        offer = self._recover.preview(self._place.find(name), choice, reading)
        values: dict[str, object] = {
            "name": name,
            "place": self._place,
            "here": self._place.address(name),
            **self._place.about(name),
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


class RecoverPage:
    """`/ui/recover/{name}`."""

    def __init__(self, view: RestoreView, recover: Recover) -> None:
        place = Place(recover.path_of, lambda name: f"{OLD}/{name}", OLD, "Old databases")
        self._page = _Page(view, recover, place)

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """The page."""
        self._page.get(req, resp, name)

    def on_post(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Carry it over: 303 to the page."""
        self._page.post(req, resp, name)


class BackupRecoverPage:
    """`/ui/backups/{backup_id}/recover`: of a bundle alone, or of another release."""

    def __init__(self, view: RestoreView, recover: Recover) -> None:
        place = Place(
            view.restore.path_of,
            lambda name: f"/ui/backups/{quote(name, safe='')}/recover",
            "/ui/backups",
            "Backups",
            view.about,
            EVERY,
        )
        self._page = _Page(view, recover, place)

    def on_get(self, req: falcon.Request, resp: falcon.Response, backup_id: str) -> None:
        """The page."""
        self._page.get(req, resp, backup_id)

    def on_post(self, req: falcon.Request, resp: falcon.Response, backup_id: str) -> None:
        """Carry it over: 303 to the page."""
        self._page.post(req, resp, backup_id)


def _query(choice: Choice) -> str:
    """The address goes on to show what was picked."""
    picked = [("part", part.value) for part in sorted(choice.parts)]
    return urlencode([("done", "1"), *picked, *(("mac", mac) for mac in choice.macs)])


def choice_of(every: Callable[[str], tuple[str, ...]], first: frozenset[Part] = FIRST) -> Choice:
    """What an address or a form picks; nothing at all is a first look."""
    known = {part.value: part for part in Part}
    parts = frozenset(known[text] for text in every("part") if text in known)
    macs = {parse_mac(text) for text in every("mac") if text.strip()}
    return Choice(
        parts or first,
        tuple(sorted(macs)),
        keep_boot_modes=bool(every("keep")),
        prefer_archive=bool(every("prefer")),
    )

"""A damaged database: read in the background, shown with what is lost, carried over."""

from __future__ import annotations

from typing import Any

import falcon

from bty_app.domain.jobs import Job
from bty_app.domain.recovering import Choice, Part
from bty_app.domain.restoring import Field, RowChange
from bty_app.errors import BtyError, ConflictError, ValidationError
from bty_app.services.recover import Recover
from bty_app.services.salvage_jobs import SalvageJobs
from bty_app.web.errors import status_of
from bty_app.web.forms import form_of
from bty_app.web.operator import by_of
from bty_app.web.pages import Answer, see_other
from bty_app.web.ui.change_words import TABLES, lines
from bty_app.web.ui.recover import FIRST, choice_of
from bty_app.web.ui.restore import RestoreView, confirmed


class SalvagePage:
    """`/ui/recover/{name}/salvage`."""

    def __init__(self, view: RestoreView, recover: Recover, salvage: SalvageJobs) -> None:
        self._view = view
        self._recover = recover
        self._salvage = salvage

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """How far the reading is, or what it found; before the first, the form that begins it."""
        self._show(req, resp, name)

    def on_post(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Begin to read it; or carry over what was shown: 303 to the page that tells of it."""
        form = form_of(req)
        choice = choice_of(form.every)
        try:
            if form.text("carry"):
                self._salvage.carry(name, choice, confirmed(form), by_of(req))
            else:
                self._salvage.look(name, choice)
        except (ConflictError, ValidationError) as error:
            self._show(req, resp, name, error)
            return
        see_other(resp, f"/ui/recover/{name}/salvage")

    def _show(
        self, req: falcon.Request, resp: falcon.Response, name: str, problem: BtyError | None = None
    ) -> None:
        self._recover.path_of(name)
        job = self._salvage.latest(name)
        found: dict[str, Any] = dict(job.data or {}) if job else {}
        choice = _picked(found)
        values: dict[str, object] = {
            "name": name,
            "here": f"/ui/recover/{name}/salvage",
            "rev": _revision(job),
            "job": job,
            "found": found,
            "choice": choice,
            "carried": _carried(found),
            "parts": [
                (part, TABLES[part.value], found.get("there", {}).get(part.value), counts)
                for part in Part
                for counts in [found.get("parts", {}).get(part.value)]
            ],
            "lines": lines(_rows(found), self._view.images()),
            "problem": problem.message if problem else "",
        }
        status = status_of(problem) if problem else 200
        self._view.pages.render(req, resp, Answer("salvage.html", values, status))


class SalvageState:
    """`/ui/recover/{name}/salvage/state`: an open page is loaded anew once there is news."""

    def __init__(self, salvage: SalvageJobs) -> None:
        self._salvage = salvage

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """204 while it is as the page shows it."""
        resp.status = 204
        resp.set_header("Cache-Control", "no-store")
        if req.get_param("rev") != _revision(self._salvage.latest(name)):
            resp.set_header("HX-Refresh", "true")


def _revision(job: Job | None) -> str:
    return f"{job.id}-{job.state.value}-{job.step.words}" if job else ""


def _picked(found: dict[str, Any]) -> Choice:
    picked = found.get("picked")
    if not picked:
        return Choice(FIRST)
    return Choice(
        frozenset(Part(part) for part in picked["parts"]),
        keep_boot_modes=picked["keep_boot_modes"],
        prefer_archive=picked["prefer_archive"],
    )


def _carried(found: dict[str, Any]) -> int:
    return sum(
        counts["new"] + counts["filled"] + counts["replaced"]
        for counts in found.get("parts", {}).values()
    )


def _rows(found: dict[str, Any]) -> tuple[RowChange, ...]:
    return tuple(
        RowChange(
            row["table"],
            row["key"],
            row["change"],
            tuple(Field(name, old, new) for name, (old, new) in row["fields"].items()),
            row["disarmed"],
        )
        for row in found.get("rows", ())
    )

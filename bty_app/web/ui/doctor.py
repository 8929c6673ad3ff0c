"""What the examination of this installation found, the worst first, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import falcon

from bty_app.domain.findings import Finding, Level
from bty_app.services.doctor_jobs import DoctorJobs
from bty_app.services.revisions import Revisions
from bty_app.web.pages import Answer, Pages, see_other
from bty_app.web.ui.live_part import LivePart
from bty_app.web.ui.words import Tone, sentence

HERE = "/ui/doctor"
TOPICS = ("jobs", "machines", "catalog", "settings")
_TONES = {
    Level.FAULT: (Tone.FAULT, "Fault"),
    Level.WARNING: (Tone.WAIT, "Warning"),
    Level.NOTE: (Tone.REST, "Note"),
    Level.OK: (Tone.GOOD, "In order"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A finding as a person reads it."""

    tone: Tone
    level: str
    check: str
    what: str
    remedy: str


def rows(findings: Iterable[Finding]) -> list[Row]:
    """The worst first, else in the order of the checks."""
    order = list(Level)
    return [
        Row(*_TONES[found.level], found.check, sentence(found.sentence), found.remedy)
        for found in sorted(findings, key=lambda found: -order.index(found.level))
    ]


class DoctorState(LivePart):
    """The findings, and the examination under way."""

    def __init__(self, pages: Pages, doctor: DoctorJobs, revisions: Revisions) -> None:
        super().__init__(pages, "doctor_state.html", HERE)
        self._doctor = doctor
        self._revisions = revisions

    def revision(self) -> str:
        """The revision of what makes checks say something else."""
        return self._revisions.current(*TOPICS)

    def is_active(self) -> bool:
        """Whether an examination is under way."""
        return self._doctor.is_active()

    def values(self) -> dict[str, object]:
        """What the template shows."""
        looked = self._doctor.looked()
        return {
            "rows": rows(looked.findings if looked else self._doctor.at_once()),
            "looked_at": looked.at if looked else None,
            "job": self._doctor.last_job(),
        }


class DoctorPage:
    """`/ui/doctor`."""

    def __init__(self, pages: Pages, state: DoctorState, doctor: DoctorJobs) -> None:
        self._pages = pages
        self._state = state
        self._doctor = doctor

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """What the last examination found; before the first, what the quick checks say now."""
        values: dict[str, object] = {
            "active": self._state.is_active(),
            "state": self._state.html(),
            "here": HERE,
        }
        self._pages.render(req, resp, Answer("doctor.html", values))

    def on_post(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Examine everything, as a job; 303 to the page that shows it."""
        if not self._state.is_active():
            self._doctor.look()
        see_other(resp, HERE)

"""The backups page: the last good one, the next one, and all there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, urlencode

import falcon

from bty_app import __version__
from bty_app.domain.backup_alarm import Alarm
from bty_app.domain.backups import TRIGGERS
from bty_app.domain.catalog_events import By
from bty_app.domain.events import Query
from bty_app.domain.moments import stamp
from bty_app.errors import BtyError
from bty_app.services.audit import Audit
from bty_app.services.backup_jobs import KIND, PROOF, BackupJobs
from bty_app.services.backup_schedule import BackupSchedule, ScheduleState
from bty_app.services.backups import Listed
from bty_app.services.jobs import Jobs
from bty_app.services.offsite_jobs import OffsiteJobs
from bty_app.services.restore import Restore
from bty_app.services.revisions import Revisions
from bty_app.web.errors import status_of
from bty_app.web.operator import by_of
from bty_app.web.pages import Answer, Pages, see_other
from bty_app.web.ui.live_part import LivePart
from bty_app.web.ui.words import Tone, sentence

HERE = "/ui/backups"
TOPICS = ("jobs", "settings", "events")
JOBS_SHOWN = 3
EVENTS_SHOWN = 10
DONE = {
    "asked": "The backup is under way.",
    "proof": "The backup is being looked at.",
    "removed": "The backup is removed.",
    "copies": "Backups are being copied.",
}


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Whom the page asks."""

    backups: BackupJobs
    schedule: BackupSchedule
    jobs: Jobs
    audit: Audit
    revisions: Revisions
    offsite: OffsiteJobs
    restore: Restore


@dataclass(frozen=True, slots=True)
class Headline:
    """How backups stand, in words."""

    tone: Tone
    words: str


class BackupState(LivePart):
    """The part of the page that follows what happens."""

    def __init__(self, pages: Pages, known: Knowledge) -> None:
        super().__init__(pages, "backups_state.html", HERE)
        self._known = known

    def revision(self) -> str:
        """The revision of all that the part shows, on disk and in memory."""
        known = self._known
        copies = known.offsite.state()
        pause = copies.next_try_seconds if copies else None
        shelf = known.backups.backups.shelf.stamp()
        return f"{known.revisions.current(*TOPICS)}-{shelf}-{(pause or 0) // 60}"

    def values(self) -> dict[str, object]:
        """What the template shows."""
        known = self._known
        listed = [job for job in known.jobs.listed() if job.kind in {KIND, PROOF}]
        state = known.schedule.state()
        good, until = state.standing.good, state.standing.good_until
        return {
            "headline": headline(state),
            "good": good,
            "good_at": stamp(good.taken_at) if good and good.taken_at else None,
            "unchanged_at": stamp(until)
            if good and until and good.taken_at and until > good.taken_at
            else None,
            "proven": state.standing.proven,
            "next_at": stamp(state.next_at) if state.next_at else None,
            "drilled_at": stamp(state.drilled_at) if state.drilled_at else None,
            "last_error": state.last_error if state.failures else "",
            "jobs": listed[:JOBS_SHOWN],
            "busy": known.backups.is_busy(),
            "rows": [Row.of(row) for row in known.backups.backups.listed()],
            "offsite": known.offsite.state(),
            "last": known.restore.last(),
            "directory": str(known.backups.backups.shelf.directory),
            "events": known.audit.listed(Query(subject_kind="backup", limit=EVENTS_SHOWN)),
        }


@dataclass(frozen=True, slots=True)
class Row:
    """A backup as the table shows it."""

    listed: Listed
    address: str
    taken_at: str | None
    trigger: str
    can_be_restored: bool

    @classmethod
    def of(cls, listed: Listed) -> Row:
        """The row of one."""
        item = listed.backup
        said = item.manifest.trigger
        return cls(
            listed,
            f"{HERE}/{quote(item.id, safe='')}",
            stamp(item.taken_at) if item.taken_at else None,
            TRIGGERS.get(said, said or "not said"),
            item.is_full and item.manifest.database_version == __version__,
        )


def headline(state: ScheduleState) -> Headline:
    """What to say first."""
    standing = state.standing
    if state.doubt.sentence:
        waits = "the schedule waits for it" if state.doubt.holds else "no backup is removed"
        return Headline(Tone.FAULT, sentence(f"{state.doubt.sentence}: {waits}"))
    if standing.alarm is not Alarm.NONE:
        return Headline(Tone.FAULT, sentence(standing.sentence))
    if standing.proven is None:
        return Headline(Tone.WAIT, "No backup yet")
    if state.failures:
        return Headline(Tone.WAIT, "The last try failed; it is tried again by itself")
    return Headline(Tone.GOOD, "Backups are in order")


class BackupsPage:
    """`/ui/backups`."""

    def __init__(self, state: BackupState, backups: BackupJobs) -> None:
        self._state = state
        self._backups = backups

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The page."""
        self.show(req, resp)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Back up now: 303 to the page."""
        by = by_of(req)
        self.act(req, resp, lambda: self._backups.request(by), "asked")

    def act(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        what: Callable[[], object],
        done: str,
    ) -> None:
        """Do it, and go to the page; or show there why not."""
        try:
            what()
        except BtyError as error:
            self.show(req, resp, problem=error.message, status=status_of(error))
            return
        see_other(resp, f"{HERE}?{urlencode({'done': done})}" if done else HERE)

    def show(
        self, req: falcon.Request, resp: falcon.Response, *, problem: str = "", status: int = 200
    ) -> None:
        """Answer with the page; `problem` is why something that was asked for was not done."""
        done = DONE.get(req.get_param("done") or "", "") if req.method == "GET" else ""
        values: dict[str, object] = {"part": self._state.html(), "problem": problem, "done": done}
        self._state.pages.render(req, resp, Answer("backups.html", values, status))


class BackupAct:
    """`/ui/backups/{backup_id}/pin`, `/unpin`, `/prove` and `/drill`."""

    def __init__(self, page: BackupsPage, act: Callable[[str, By], object], done: str = "") -> None:
        self._page = page
        self._act = act
        self._done = done

    def on_get(self, _req: falcon.Request, resp: falcon.Response, backup_id: str) -> None:  # noqa: ARG002
        """303 to the page."""
        see_other(resp, HERE)

    def on_post(self, req: falcon.Request, resp: falcon.Response, backup_id: str) -> None:
        """Do it: 303 to the page."""
        by = by_of(req)
        self._page.act(req, resp, lambda: self._act(backup_id, by), self._done)


class OffsiteAct:
    """`/ui/backups/offsite`."""

    def __init__(self, page: BackupsPage, offsite: OffsiteJobs) -> None:
        self._page = page
        self._offsite = offsite

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """303 to the page."""
        see_other(resp, HERE)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Copy what is missing elsewhere: 303 to the page."""
        self._page.act(req, resp, self._offsite.order, "copies")


class BackupRemove:
    """`/ui/backups/{backup_id}/remove`."""

    def __init__(self, page: BackupsPage, pages: Pages, backups: BackupJobs) -> None:
        self._page = page
        self._pages = pages
        self._backups = backups.backups

    def on_get(self, req: falcon.Request, resp: falcon.Response, backup_id: str) -> None:
        """Show what would be lost, and ask."""
        found = self._backups.shelf.find(backup_id)
        others = [row.backup for row in self._backups.listed() if row.backup.id != found.id]
        values: dict[str, object] = {
            "item": found,
            "taken_at": stamp(found.taken_at) if found.taken_at else None,
            "others": len(others),
            "is_last_proven": bool(found.marks.proven_at)
            and not any(item.marks.proven_at for item in others),
        }
        self._pages.render(req, resp, Answer("backup_remove.html", values))

    def on_post(self, req: falcon.Request, resp: falcon.Response, backup_id: str) -> None:
        """Remove it for good: 303 to the page."""
        by = by_of(req)
        self._page.act(req, resp, lambda: self._backups.remove(backup_id, by), "removed")

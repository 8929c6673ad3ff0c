"""Backups, for operators' scripts (under /api/v1)."""

from __future__ import annotations

import falcon

from bty_app.domain.backup_alarm import Alarm
from bty_app.domain.moments import stamp
from bty_app.domain.tokens import Scope
from bty_app.services.backup_data import backup_data
from bty_app.services.backup_jobs import BackupJobs
from bty_app.services.backup_schedule import BackupSchedule
from bty_app.services.backup_tar import Tar
from bty_app.services.backups import Backups
from bty_app.web.api import jobs as jobs_api
from bty_app.web.api.values import BYTES, MAYBE_MOMENT, MAYBE_TEXT
from bty_app.web.operations import Answer, Body, Operation, answers, declared
from bty_app.web.operator import by_of
from bty_app.web.records import Items, Keyed, Record, options, parameters, record
from bty_app.web.shapes import Flag, Nullable, Shape, Text, Whole

MAX_BODY_BYTES = 4096
TAR = "application/x-tar"

_BACKUP: dict[str, Shape] = {
    "id": Text("Its name."),
    "path": Text("Its directory."),
    "taken_at": MAYBE_MOMENT,
    "trigger": Nullable(Text("What it was made for.")),
    "bytes": BYTES,
    "machines": Nullable(Whole()),
    "rows": Keyed(Whole(), "By table."),
    "digests": Keyed(Text(), "By table: the SHA-256 of its rows where they were copied from."),
    "is_full": Flag("It has the whole database, not the bundle alone."),
    "bty_version": MAYBE_TEXT,
    "database_version": MAYBE_TEXT,
    "instance_id": MAYBE_TEXT,
    "proven_at": MAYBE_MOMENT,
    "checked_at": MAYBE_MOMENT,
    "drilled_at": MAYBE_MOMENT,
    "pinned_at": MAYBE_MOMENT,
    "problems": Items(Text(), about="What the latest look has found."),
}
BACKUP = Record(_BACKUP, "Backup")
_LISTED = Record(
    _BACKUP | {"stays": Flag("Retention leaves it."), "reason": Text("Why it stays or goes.")},
    "ListedBackup",
)
_LIST = Operation(
    answers(
        "The backups, the newest first, and how the schedule stands.",
        record(
            backups=Items(_LISTED),
            alarm=Nullable(Text(one_of=tuple(alarm.value for alarm in Alarm if alarm.value))),
            warning=Nullable(Text("The alarm as a sentence.")),
            next_at=Nullable(Text("When the next one is due.")),
            last_success_at=MAYBE_MOMENT,
            good_until=Nullable(
                Text(
                    "Until when the good backups hold all there was: when the newest was taken, or"
                    " when nothing was found changed since."
                )
            ),
            failures=Whole("Tries since then that failed."),
            doubt=Nullable(
                Text("Why the clock of the server is not believed: nothing is removed meanwhile.")
            ),
            waits_for_clock=Flag("The schedule waits until the clock is right, an hour at most."),
        ),
    )
)
_PIN = Operation(
    answers("The backup.", BACKUP),
    body=Body(
        Record({"pinned": Flag("Whether retention has to leave it.")}, example={"pinned": True}),
        MAX_BODY_BYTES,
    ),
    refuses=(409,),
)
_PROVE = Operation(
    answers("The job.", jobs_api.JOB, 202),
    query=parameters(drill=Flag("Restore it for a trial as well.")),
    refuses=(409,),
)


_MAKE = Operation(
    answers("The job.", jobs_api.JOB, 202),
    body=Body(
        options(bundle_alone=Nullable(Flag("Without the database."))), MAX_BODY_BYTES, optional=True
    ),
    refuses=(409,),
)


class BackupList:
    """`/api/v1/backups`."""

    operations = declared(GET=_LIST, POST=_MAKE)

    def __init__(self, jobs: BackupJobs, schedule: BackupSchedule) -> None:
        self._jobs = jobs
        self._schedule = schedule

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """`{"backups": [...], "alarm", "next_at", ...}`: all backups, the newest first, with what
        retention makes of each; and how the schedule stands.
        """
        backups = self._jobs.backups
        state = self._schedule.state()
        standing = state.standing
        resp.media = {
            "backups": [
                _data(backups, row.backup.id) | {"stays": row.stays, "reason": row.reason}
                for row in backups.listed()
            ],
            "alarm": standing.alarm.value or None,
            "warning": standing.sentence or None,
            "next_at": stamp(state.next_at) if state.next_at else None,
            "last_success_at": stamp(state.last_success_at) if state.last_success_at else None,
            "good_until": stamp(standing.good_until) if standing.good_until else None,
            "failures": state.failures,
            "doubt": state.doubt.sentence or None,
            "waits_for_clock": state.doubt.holds,
        }

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Have a backup made: 202 with the job; one that is under way is returned."""
        alone = _MAKE.body_of(req)["bundle_alone"] is True
        resp.media = jobs_api.as_json(self._jobs.request(by_of(req), bundle_alone=alone))
        resp.status = 202


class BackupById:
    """`/api/v1/backups/{backup_id}`."""

    scopes = {"DELETE": Scope.ADMIN}  # noqa: RUF012 - read by `scope_of`
    operations = declared(
        GET=Operation(answers("The backup.", BACKUP)),
        PATCH=_PIN,
        DELETE=Operation(answers("What it was.", BACKUP), refuses=(409,)),
    )

    def __init__(self, jobs: BackupJobs) -> None:
        self._backups = jobs.backups

    def on_get(self, _req: falcon.Request, resp: falcon.Response, backup_id: str) -> None:
        """One backup."""
        resp.media = _data(self._backups, backup_id)

    def on_patch(self, req: falcon.Request, resp: falcon.Response, backup_id: str) -> None:
        """`{"pinned": true}` keeps it whatever retention says, false no more."""
        pinned = _PIN.body_of(req)["pinned"]
        self._backups.pin(backup_id, by_of(req), is_pinned=pinned)
        resp.media = _data(self._backups, backup_id)

    def on_delete(self, req: falcon.Request, resp: falcon.Response, backup_id: str) -> None:
        """Remove it for good; answers with what it was. 409 while it is pinned."""
        data = _data(self._backups, backup_id)
        self._backups.remove(backup_id, by_of(req))
        resp.media = data


class BackupProof:
    """`/api/v1/backups/{backup_id}/verify`."""

    operations = declared(POST=_PROVE)

    def __init__(self, jobs: BackupJobs) -> None:
        self._jobs = jobs

    def on_post(self, req: falcon.Request, resp: falcon.Response, backup_id: str) -> None:
        """Read it back, or with `?drill=1` restore it for a trial: 202 with the job."""
        drill = bool(_PROVE.query_of(req)["drill"])
        resp.media = jobs_api.as_json(self._jobs.prove(backup_id, drill=drill))
        resp.status = 202


class BackupArchive:
    """`/api/v1/backups/{backup_id}/archive.tar`: it holds all that the database does."""

    scope = Scope.ADMIN
    operations = declared(GET=Operation((Answer(200, "The archive.", media=TAR),)))

    def __init__(self, jobs: BackupJobs) -> None:
        self._shelf = jobs.backups.shelf

    def on_get(self, _req: falcon.Request, resp: falcon.Response, backup_id: str) -> None:
        """The whole backup as one tar archive."""
        found = self._shelf.find(backup_id)
        path = self._shelf.path(found.id)
        resp.content_type = TAR
        resp.downloadable_as = f"{found.id}.tar"
        resp.set_header("Cache-Control", "no-store")
        archive = Tar(path)
        resp.set_stream(archive, archive.size)


def _data(backups: Backups, backup_id: str) -> dict[str, object]:
    return backup_data(backups.shelf.find(backup_id), backups.shelf.path(backup_id))

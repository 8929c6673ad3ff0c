"""Backups as the original's scripts ask for them (CONTRACT 7.3); ours are in `backups.py`."""

from __future__ import annotations

import falcon

from bty_app.domain.backups import MANUAL, SCHEDULED
from bty_app.domain.jobs import State
from bty_app.services.backup_jobs import BackupJobs
from bty_app.services.backup_runs import Run
from bty_app.web.api.values import BYTES, MAYBE_TEXT
from bty_app.web.operations import Body, Operation, answers, declared
from bty_app.web.operator import by_of
from bty_app.web.records import Items, options, record
from bty_app.web.shapes import Nullable, Number, Text, Whole, words_of

MAX_BODY_BYTES = 4096
MAX_PARALLEL = 1

_SECONDS = Nullable(Number("Seconds since 1970."))
_RUN = record(
    "BackupRun",
    backup_id=Text("The name of the backup."),
    status=Text(one_of=words_of(State)),
    started_at=_SECONDS,
    finished_at=_SECONDS,
    machines=Nullable(Whole("In its bundle, once it is made.")),
    bytes_done=BYTES,
    dest_path=Text("Where its bundle is, or will be."),
    trigger=Text(one_of=(MANUAL, SCHEDULED)),
    error=MAYBE_TEXT,
)
_LIST = Operation(
    answers(
        "The backups that were asked for since the start.",
        record(backups_root=Text(), max_parallel=Whole(), backups=Items(_RUN)),
    )
)
_ASK = Operation(
    answers("The backup, as far as it is.", _RUN, 202),
    body=Body(
        options(trigger=Text("What it counts as.", one_of=(MANUAL, SCHEDULED))), MAX_BODY_BYTES
    ),
    refuses=(409,),
)


class BackupRunList:
    """`/workers/backups`."""

    operations = declared(GET=_LIST, POST=_ASK)

    def __init__(self, jobs: BackupJobs) -> None:
        self._jobs = jobs

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """The backups that were asked for since the start, in that order."""
        resp.media = {
            "backups_root": str(self._jobs.backups.shelf.directory),
            "max_parallel": MAX_PARALLEL,
            "backups": [_as_json(run) for run in self._jobs.runs.listed()],
        }

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Have a backup made, `{"trigger": "manual"}` or as one of the schedule: 202 with its
        state; one that is under way is returned.
        """
        trigger = _ASK.body_of(req)["trigger"] or MANUAL
        job = self._jobs.request(by_of(req), trigger=trigger)
        resp.media = _as_json(self._jobs.runs.of(job))
        resp.status = 202


class BackupRunById:
    """`/workers/backups/{backup_id}`."""

    operations = declared(DELETE=Operation(answers("The backup, as far as it is.", _RUN)))

    def __init__(self, jobs: BackupJobs) -> None:
        self._jobs = jobs

    def on_delete(self, _req: falcon.Request, resp: falcon.Response, backup_id: str) -> None:
        """Cancel it, and answer with its state; one that has ended stays as it is."""
        resp.media = _as_json(self._jobs.runs.cancel(backup_id))


def _as_json(run: Run) -> dict[str, object]:
    job = run.job
    return {
        "backup_id": run.name,
        "status": job.state.value,
        "started_at": job.started_at,
        "finished_at": job.ended_at,
        "machines": run.machines,
        "bytes_done": run.size,
        "dest_path": str(run.bundle),
        "trigger": run.trigger,
        "error": job.error or None,
    }

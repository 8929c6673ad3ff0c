"""What the examination of this installation found: as `bty doctor --json` has it."""

from __future__ import annotations

import falcon

from bty_app import __version__
from bty_app.domain.findings import Level, as_data
from bty_app.services.doctor_jobs import DoctorJobs
from bty_app.web.api import jobs as jobs_api
from bty_app.web.api.values import MAYBE_TEXT
from bty_app.web.operations import Operation, answers, declared
from bty_app.web.records import Items, record
from bty_app.web.shapes import Nullable, Text, words_of

_LEVEL = Text(one_of=words_of(Level))
_FINDING = record(
    "Finding",
    check=Text("Which check says it."),
    level=_LEVEL,
    sentence=Text(),
    remedy=Nullable(Text("What to do about it.")),
)
_FINDINGS = record(
    version=Text("The running release."),
    level=_LEVEL,
    looked_at=MAYBE_TEXT,
    findings=Items(_FINDING),
)


class DoctorReport:
    """`/api/v1/doctor`."""

    operations = declared(
        GET=Operation(answers("What was found; `level` is the worst.", _FINDINGS)),
        POST=Operation(answers("The job.", jobs_api.JOB, 202), refuses=(409,)),
    )

    def __init__(self, doctor: DoctorJobs) -> None:
        self._doctor = doctor

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """What the last examination found, at `looked_at`; before the first (null), what the checks
        say now that ask no other host.
        """
        looked = self._doctor.looked()
        findings = looked.findings if looked else self._doctor.at_once()
        resp.media = as_data(findings, version=__version__, at=looked.at if looked else None)

    def on_post(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Examine everything, which asks other hosts: 202 with the job."""
        resp.media = jobs_api.as_json(self._doctor.look())
        resp.status = 202

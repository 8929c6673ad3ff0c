"""The whole examination as a job, for it waits for other hosts; what it found is kept.

Threads: any may call.
"""

from __future__ import annotations

from dataclasses import dataclass

from bty_app.domain.findings import Finding, worst
from bty_app.domain.jobs import Job, Step, Teller
from bty_app.domain.moments import stamp
from bty_app.services.clock import Clock, utc_now
from bty_app.services.doctor import CHECKS, Doctor
from bty_app.services.jobs import Jobs

KIND, KEY = "doctor", "all"


@dataclass(frozen=True, slots=True)
class Looked:
    """What every check said, and when: a stamp."""

    at: str
    findings: tuple[Finding, ...]


class DoctorJobs:
    """Looks in the background, and keeps what the last look found."""

    def __init__(self, doctor: Doctor, jobs: Jobs, clock: Clock = utc_now) -> None:
        self._doctor = doctor
        self._jobs = jobs
        self._clock = clock
        self._looked: Looked | None = None

    def look(self) -> Job:
        """Do every check, those that ask other hosts as well.

        Raises:
            ConflictError: that is under way already, or too many jobs wait.
        """

        def work(teller: Teller) -> str:
            found: list[Finding] = []
            for check in CHECKS:
                teller.tell(Step(check.name))
                found += self._doctor.said(check)
            self._looked = Looked(stamp(self._clock()), tuple(found))
            return f"the worst is: {worst(found).value}"

        return self._jobs.submit(KIND, KEY, "look at everything", work)

    def last_job(self) -> Job | None:
        """The examination under way, or the last one."""
        return self._jobs.latest(KIND, KEY)

    def is_active(self) -> bool:
        """Whether one is under way."""
        job = self.last_job()
        return job is not None and job.is_active

    def looked(self) -> Looked | None:
        """What the last examination found."""
        return self._looked

    def at_once(self) -> list[Finding]:
        """What the checks say now that ask no other host."""
        return self._doctor.cheap_findings()

"""The backups that were asked for since the start, as the original tells them (CONTRACT 7.3).

Each is known for as long as its job is. Threads: any may call.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path

from bty_app.domain.bundle import FILE_NAME
from bty_app.domain.jobs import Job, State
from bty_app.errors import NotFoundError
from bty_app.services.jobs import Jobs
from bty_app.store.backup_shelf import Shelf


@dataclass(frozen=True, slots=True)
class Run:
    """One of them: its name, what it was asked for as, and the job.

    `bundle` is where its bundle is or will be, `size` the bytes that are done of it.
    """

    name: str
    trigger: str
    job: Job
    bundle: Path
    machines: int | None = None
    size: int = 0


class BackupRuns:
    """The runs, in the order in which they were asked for."""

    def __init__(self, jobs: Jobs, shelf: Shelf) -> None:
        self._shelf = shelf
        self._jobs = jobs
        self._lock = threading.Lock()
        self._runs: dict[str, Run] = {}

    def free_name(self, name: str) -> str:
        """This name, or with `-1`, `-2` … where a run has it."""
        taken, number, found = {run.name for run in self.listed()}, 0, name
        while found in taken:
            number += 1
            found = f"{name}-{number}"
        return found

    def add(self, name: str, trigger: str, job: Job) -> None:
        """A backup of this name was asked for, as this job."""
        with self._lock:
            self._runs[name] = Run(name, trigger, job, self._shelf.path(name) / FILE_NAME)

    def listed(self) -> list[Run]:
        """All that are known, as they are now."""
        with self._lock:
            now = {job.id: job for job in self._jobs.listed()}
            self._runs = {
                name: replace(run, job=now[run.job.id])
                for name, run in self._runs.items()
                if run.job.id in now
            }
            known = list(self._runs.values())
        return [self._as_it_is(run) for run in known]

    def get(self, name: str) -> Run:
        """One of them.

        Raises:
            NotFoundError: none of this name was asked for since the start.
        """
        for run in self.listed():
            if run.name == name:
                return run
        raise NotFoundError(f"no backup {name[:64]!r} was asked for since the start")

    def of(self, job: Job) -> Run:
        """The one that this job makes.

        Raises:
            NotFoundError: the job is not known any more.
        """
        for run in self.listed():
            if run.job.id == job.id:
                return run
        raise NotFoundError(f"the job {job.id} is not known any more")

    def cancel(self, name: str) -> Run:
        """End it: at once where it waits, soon where it runs; one that has ended stays.

        Raises:
            NotFoundError: none of this name was asked for since the start.
        """
        run = self.get(name)
        return replace(run, job=self._jobs.cancel(run.job.id)) if run.job.is_active else run

    def _as_it_is(self, run: Run) -> Run:
        if run.job.state is not State.COMPLETED:
            return replace(run, size=run.job.step.done)
        try:
            machines = self._shelf.find(run.name).manifest.machines
            return replace(run, machines=machines, size=run.bundle.stat().st_size)
        except (NotFoundError, OSError):
            return run  # it was removed since

"""Backups through the server: asked for, then made and proven in the background."""

from __future__ import annotations

from collections.abc import Callable

from bty_app.domain import backup_events as audit
from bty_app.domain.backups import JOB_KIND, MANUAL, SCHEDULED, name_of
from bty_app.domain.catalog_events import By
from bty_app.domain.events import Actor
from bty_app.domain.jobs import Job, Outcome, Teller
from bty_app.domain.rotation import counted
from bty_app.errors import BtyError, CancelledError, ConflictError
from bty_app.services.backup_files import free_name
from bty_app.services.backup_runs import BackupRuns
from bty_app.services.backups import Backups
from bty_app.services.clock import Clock, utc_now
from bty_app.services.jobs import Jobs
from bty_app.services.own_program import OwnProgram
from bty_app.services.revisions import Revisions

KIND = JOB_KIND
PROOF = "backup-proof"
_KEY = "backup"
_TOPICS = frozenset({"events", "settings", "jobs"})

Ended = Callable[[BtyError | None], None]


class BackupJobs:
    """Any thread may call."""

    def __init__(
        self,
        backups: Backups,
        jobs: Jobs,
        program: OwnProgram,
        revisions: Revisions,
        clock: Clock = utc_now,
    ) -> None:
        self.backups = backups
        self.runs = BackupRuns(jobs, backups.shelf)
        self._jobs = jobs
        self._program = program
        self._revisions = revisions
        self._clock = clock
        self._hearing: list[Ended] = []
        self._following: list[Callable[[], None]] = []

    def hear(self, ended: Ended) -> None:
        """Let `ended` hear of the end of each scheduled one: what it failed with, or None."""
        self._hearing.append(ended)

    def follow(self, made: Callable[[], None]) -> None:
        """Have `made`, which never fails, called after each backup that succeeded."""
        self._following.append(made)

    def request(self, by: By, *, trigger: str = MANUAL, bundle_alone: bool = False) -> Job:
        """Have a backup made, of the bundle alone or as it is set; one that is under way is
        returned.

        Raises:
            ConflictError: too many jobs wait.
            MovedError: this appliance is being moved, or has moved.
            StorageError: that it was asked for cannot be recorded.
        """
        self.backups.journal.check()
        name = free_name(self.backups.shelf.directory, self.runs.free_name(name_of(self._clock())))
        without = ("--no-state",) if bundle_alone else ()
        words = ("backup", "--trigger", trigger, "--id", name, *without)
        job, is_new = self._submitted(
            KIND, _KEY, f"back up as {name}", lambda teller: self._made(words, trigger, teller)
        )
        if is_new:
            self.runs.add(name, trigger, job)
        if is_new and by.actor is Actor.OPERATOR:
            self.backups.journal.tell(audit.requested(name, trigger, by))
        return job

    def prove(self, backup_id: str, *, drill: bool) -> Job:
        """Have a backup read back, or restored in a drill; the same under way is returned.

        Raises:
            NotFoundError: there is none of this name.
            ConflictError: too many jobs wait.
            MovedError: this appliance is being moved, or has moved.
        """
        self.backups.journal.check()
        self.backups.shelf.find(backup_id)
        title = f"{'drill' if drill else 'read back'} {backup_id}"
        place = str(self.backups.shelf.path(backup_id))
        words = ("verify", *(["--drill"] if drill else []), place)
        job, _ = self._submitted(
            PROOF, backup_id, title, lambda teller: self._proven(words, backup_id, teller)
        )
        return job

    def latest(self, kind: str = KIND) -> Job | None:
        """The newest job about making one, or about proving one."""
        return next(iter(self._jobs.listed(kind)), None)

    def is_busy(self, kind: str = KIND) -> bool:
        """Whether such a job waits or runs."""
        return any(job.is_active for job in self._jobs.listed(kind))

    def under_way(self) -> str:
        """What is being done to backups, in a process of its own; empty where nothing is."""
        if self.is_busy(KIND):
            return "a backup is being made"
        return "a backup is being proven" if self.is_busy(PROOF) else ""

    def _submitted(
        self, kind: str, key: str, title: str, work: Callable[[Teller], str | Outcome]
    ) -> tuple[Job, bool]:
        """The job, and whether it is a new one."""
        try:
            return self._jobs.submit(kind, key, title, work), True
        except ConflictError:
            known = self._jobs.latest(kind, key)
            if known is None or not known.is_active:
                raise
            return known, False

    def _made(self, words: tuple[str, ...], trigger: str, teller: Teller) -> Outcome:
        failure: BtyError | None = None
        try:
            made = self._program.run(words, teller)
        except CancelledError:
            raise
        except BtyError as error:
            failure = error
            raise
        finally:
            self._revisions.bump(_TOPICS)
            if trigger == SCHEDULED:
                for ended in self._hearing:
                    ended(failure)
        for follow in self._following:
            follow()
        if not made.get("is_new", True):
            since = f"nothing has changed since {made['id']}, which was read back"
            return Outcome(f"{since}: none was made", made)
        return Outcome(f"{made['id']}: {counted(int(made['machines'] or 0))}, read back", made)

    def _proven(self, words: tuple[str, ...], backup_id: str, teller: Teller) -> str:
        try:
            found = self._program.run(words, teller)
        finally:
            self._revisions.bump(_TOPICS)
        problems = found.get("problems") or []
        if problems:
            raise BtyError(f"{backup_id}: {problems[0]}")
        return f"{backup_id} is sound: {found.get('facts') or 'read back and compared'}"

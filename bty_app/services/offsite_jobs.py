"""Copies backups elsewhere in the background: after each backup, and again after a failure.

Threads: any may call; the work is done by those of the jobs.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from bty_app import logs
from bty_app.domain import offsite_events
from bty_app.domain.events import Event
from bty_app.domain.jobs import Job, Step, Teller
from bty_app.domain.moments import stamp
from bty_app.domain.offsite import Copy
from bty_app.domain.warm_tries import Tries
from bty_app.errors import BtyError, CancelledError, ConflictError, InvalidInputError, NotFoundError
from bty_app.services.clock import Clock, utc_now
from bty_app.services.jobs import Jobs
from bty_app.services.metrics import Sample
from bty_app.services.offsite import Offsite
from bty_app.store import events
from bty_app.store.database import Database

_log = logging.getLogger(__name__)

KIND = "offsite"
_KEY = "push"


@dataclass(frozen=True, slots=True)
class OffsiteState:
    """How copying goes, for a card of a page. `there` and `waiting` are None until the place was
    asked; `next_try_seconds` is None where nothing failed.
    """

    shown: str
    keep: int
    key_id: str
    there: int | None = None
    waiting: int | None = None
    last_id: str = ""
    last_at: str = ""
    error: str = ""
    next_try_seconds: int | None = None
    job: Job | None = None


@dataclass(slots=True)
class _Memory:
    """What is known since the server began."""

    tries: Tries
    seen: frozenset[str] | None = None
    there: int | None = None
    waiting: int | None = None
    last: Copy | None = None
    last_at: str = ""
    error: str = ""


class OffsiteJobs:
    """The queue, and what came of earlier tries."""

    def __init__(
        self,
        jobs: Jobs,
        shown: str,
        find: Callable[[], Offsite | None],
        database: Database,
        clock: Clock = utc_now,
        *,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """`find` makes what copies, or says why it cannot; `shown` is the place, or nothing where
        none is configured.
        """
        self._jobs = jobs
        self._shown = shown
        self._find = find
        self._database = database
        self._clock = clock
        self._steady = steady
        self._lock = threading.Lock()
        self._memory = _Memory(Tries(None))
        self._offsite: Offsite | None = None

    @property
    def is_on(self) -> bool:
        """Whether a place is configured."""
        return bool(self._shown)

    def order(self) -> Job:
        """Have everything copied that is missing; earlier failures keep nobody waiting.

        Raises:
            InvalidInputError: no place is configured.
            ConflictError: it is under way already, or too many jobs wait.
            MovedError: this appliance is being moved, or has moved.
        """
        self._database.check_taken()
        if not self.is_on:
            raise InvalidInputError("no place for copies is configured: set offsite.url")
        with self._lock:
            self._memory.tries = self._memory.tries.asked()
        return self._submit()

    def after_backup(self) -> None:
        """A backup was taken: copy it, unless a failure says to wait. Never fails."""
        with self._lock:
            memory = self._memory
            memory.seen = None
            if memory.tries.is_cancelled:
                memory.tries = memory.tries.asked()
        try:
            self.turn()
        except BtyError as error:  # the backup is good: the next turn looks again
            logs.event(_log, logging.WARNING, "offsite", error=error.message)

    def turn(self) -> None:
        """Look whether there is a backup that was not seen, or a failure to try again."""
        if not self.is_on or not self._is_due():
            return
        try:
            self._submit()
        except ConflictError as error:  # it is under way: the next turn looks again
            logs.event(_log, logging.DEBUG, "offsite", error=error.message)

    def _is_due(self) -> bool:
        with self._lock:
            memory, offsite = self._memory, self._offsite
        names = offsite.names_here() if offsite else frozenset()
        is_new = memory.seen is None or bool(names - memory.seen)
        return is_new and memory.tries.may_try(self._steady())

    def _submit(self) -> Job:
        return self._jobs.submit(KIND, _KEY, f"copy backups to {self._shown}", self._work)

    # -- what is shown ---------------------------------------------------------------------------

    def state(self) -> OffsiteState | None:
        """For the card; None where no place is configured."""
        if not self.is_on:
            return None
        offsite, job = self._offsite, self._jobs.latest(KIND, _KEY)
        with self._lock:
            memory = self._memory
            pause = memory.tries.not_before - self._steady()
            return OffsiteState(
                shown=self._shown,
                keep=offsite.keep if offsite else 0,
                key_id=offsite.key.id if offsite and offsite.key else "",
                there=memory.there,
                waiting=memory.waiting,
                last_id=memory.last.backup_id if memory.last else "",
                last_at=memory.last_at,
                error=memory.error,
                next_try_seconds=max(0, int(pause)) if memory.error else None,
                job=job if job is not None and job.is_active else None,
            )

    def gauges(self) -> list[Sample]:
        """For `/metrics`."""
        state = self.state()
        if state is None:
            return []
        failing = "Whether the last try to copy backups elsewhere failed."
        found: list[Sample] = [("bty_offsite_failing", failing, {}, float(bool(state.error)))]
        if state.waiting is not None:
            about = "Backups that are not copied elsewhere yet."
            found.append(("bty_offsite_waiting", about, {}, state.waiting))
        if state.there is not None:
            found.append(("bty_offsite_copies", "Copies elsewhere.", {}, state.there))
        return found

    # -- in the thread of the job ----------------------------------------------------------------

    def _work(self, teller: Teller) -> str:
        waiting: tuple[str, ...] = ()
        try:
            offsite = self._found()
            names = offsite.names_here()
            teller.tell(Step(f"listing {self._shown}"))
            there = offsite.there()
            waiting = offsite.missing(there)
            self._note(there=len(there.copies), waiting=len(waiting))
            count = self._push_all(offsite, waiting, teller)
        except CancelledError:
            with self._lock:
                self._memory.tries = self._memory.tries.cancelled()
            raise
        except BtyError as error:
            self._failed(error, waiting)
            raise
        with self._lock:
            self._memory.seen, self._memory.error = names, ""
            self._memory.tries = Tries(None)
        return f"{count} copied" if count else "all of them are there"

    def _found(self) -> Offsite:
        """What copies; a secret that could not be read is looked for anew."""
        found = self._offsite or self._find()
        if found is None:
            raise InvalidInputError("no place for copies is configured: set offsite.url")
        with self._lock:
            self._offsite = found
        return found

    def _push_all(self, offsite: Offsite, waiting: tuple[str, ...], teller: Teller) -> int:
        """Push each; one that cannot be copied keeps no other, and is said in the end."""
        done: list[Copy] = []
        problems: list[BtyError] = []
        for left, backup_id in zip(range(len(waiting) - 1, -1, -1), waiting, strict=True):
            try:
                copy, is_new = offsite.push(backup_id, teller)
            except (InvalidInputError, ConflictError) as error:
                problems.append(error)
                continue
            except NotFoundError:
                if backup_id in offsite.names_here():
                    raise
                continue  # it was removed here meanwhile
            if is_new:
                done.append(copy)
                self._record(offsite_events.pushed(copy.backup_id, self._shown, copy.size))
            self._note(waiting=left + len(problems), last=copy if is_new else None)
        if done and offsite.keep:
            self._prune(offsite, done[-1].instance_id, teller)
        if problems:
            raise problems[0]
        return len(done)

    def _prune(self, offsite: Offsite, instance_id: str, teller: Teller) -> None:
        gone = offsite.prune(instance_id, teller)
        if gone:
            self._record(offsite_events.pruned(gone, self._shown, offsite.keep))
            with self._lock:
                self._memory.there = (self._memory.there or len(gone)) - len(gone)

    def _note(
        self, *, there: int | None = None, waiting: int = 0, last: Copy | None = None
    ) -> None:
        with self._lock:
            memory = self._memory
            memory.waiting = waiting
            memory.there = memory.there if there is None else there
            if last is not None:
                memory.there = (memory.there or 0) + 1
                memory.last, memory.last_at = last, stamp(self._clock())

    def _failed(self, error: BtyError, waiting: tuple[str, ...]) -> None:
        with self._lock:
            is_told = self._memory.tries.is_told
            self._memory.tries = self._memory.tries.failed(self._steady(), has_other_bytes=False)
            self._memory.error = error.message
            self._memory.seen = None
        if not is_told:
            self._record(offsite_events.failed(self._shown, error.message[:500], waiting))

    def _record(self, event: Event) -> None:
        at = stamp(self._clock())
        self._database.write(lambda tx: events.record(tx, event, at=at))

"""The schedule of backups: what is due now, whether an alarm is due, and who is told.

Threads: one takes `turn`; any may ask the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from bty_app import __version__, logs
from bty_app.domain import backup_events as audit
from bty_app.domain import schedule
from bty_app.domain.backup_alarm import Alarm, Standing
from bty_app.domain.backups import SCHEDULED, Backup
from bty_app.domain.clock_doubt import Doubt
from bty_app.domain.events import Event
from bty_app.domain.moments import stamp
from bty_app.errors import BtyError, ConflictError, StorageError
from bty_app.services.backup_jobs import KIND, PROOF, BackupJobs
from bty_app.services.backup_standing import standing_of
from bty_app.services.backups import Backups
from bty_app.services.clock import Clock, utc_now
from bty_app.store.backup_state import moment
from bty_app.upstream.http import Http

_log = logging.getLogger(__name__)

DRILL_EVERY = timedelta(days=7)
DRILL_AGAIN = timedelta(hours=6)  # after one that could not be held at all
PROOF_LASTS = timedelta(days=30)  # disks lose what nobody reads
PROOF_AGAIN = timedelta(hours=6)
PING_SECONDS = 10.0
_PING_BYTES = 64 * 1024
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """How it stands; `next_at` is when the next scheduled one begins, as far as one can tell;
    `doubt` is why the clock is not believed.
    """

    standing: Standing
    next_at: datetime | None
    failures: int
    last_error: str
    last_success_at: datetime | None
    drilled_at: datetime | None
    doubt: Doubt = field(default_factory=Doubt)


class BackupSchedule:
    """Looks what is due."""

    def __init__(self, backups: Backups, jobs: BackupJobs, clock: Clock = utc_now) -> None:
        self._backups = backups
        self._jobs = jobs
        self._clock = clock
        self._is_tidy = False
        # When the disk is full a failure cannot be kept there: it is kept here.
        self._refused_at: datetime | None = None
        self._refusals = 0
        self._drill_begun: datetime | None = None
        self._proof_begun: dict[str, datetime] = {}

    def turn(self) -> None:
        """Begin what is due; tell once of what is wrong."""
        now = self._clock()
        is_free = not self._jobs.is_busy(KIND)
        if is_free:
            self._tidy()
        if self._backups.clock_doubt().holds:
            return  # what is due, and what is late, is not known
        if is_free:
            self._begin_backup(now)
        self._look()
        self._begin_drill(now)
        self._begin_proof(now)

    def state(self) -> ScheduleState:
        """How it stands now."""
        now = self._clock()
        known, journal = self._backups.journal.history(), self._backups.journal
        wanted = journal.settings()
        return ScheduleState(
            standing=self.standing(),
            next_at=schedule.next_try(wanted.schedule, journal.past(), now),
            failures=known.failures,
            last_error=known.last_error,
            last_success_at=moment(known.last_success_at),
            drilled_at=moment(known.drilled_at),
            doubt=self._backups.clock_doubt(),
        )

    def standing(self) -> Standing:
        """Whether backups are as they should be."""
        return standing_of(self._backups, self._clock)

    def ended(self, error: BtyError | None) -> None:
        """A scheduled backup has ended: what it failed with, or None."""
        if error is None:
            self._refused_at, self._refusals = None, 0
        else:
            self._refused_at, self._refusals = self._clock(), self._refusals + 1

    # -- one turn ------------------------------------------------------------------------------

    def _tidy(self) -> None:
        """What a killed server left is told of at the first turn of the next one."""
        if self._is_tidy:
            return
        try:
            self._backups.tidy()
        except ConflictError:  # a command is making one: it tidies up as well
            return
        except StorageError:  # the next backup fails of it, and tells
            return
        self._is_tidy = True

    def _begin_backup(self, now: datetime) -> None:
        journal = self._backups.journal
        history = journal.history()
        if not history.begun_at:
            journal.keep(begun_at=stamp(now))
        if self._refused_at is not None and not history.failures:
            pause = schedule.pause_after(self._refusals)
            if self._refused_at <= now < self._refused_at + pause:
                return
        if schedule.due(journal.settings().schedule, journal.past(), now).run:
            self._jobs.request(audit.SYSTEM, trigger=SCHEDULED)

    def _begin_drill(self, now: datetime) -> None:
        """Once a week, and after an upgrade: the newest that is whole and proven."""
        history = self._backups.journal.history()
        last = moment(history.drilled_at)
        fresh = last is not None and last <= now < last + DRILL_EVERY
        if (fresh and history.drilled_version == __version__) or self._jobs.is_busy(PROOF):
            return
        if (
            self._drill_begun is not None
            and self._drill_begun <= now < self._drill_begun + DRILL_AGAIN
        ):
            return
        found = next(filter(_can_be_drilled, self._backups.shelf.readable()), None)
        if found is not None:
            self._drill_begun = now
            self._jobs.prove(found.id, drill=True)

    def _begin_proof(self, now: datetime) -> None:
        """One at a time, while nothing else is done to backups: the one that was not looked at for
        the longest time, if that is too long.
        """
        if self._jobs.under_way():
            return
        begun = {id_: at for id_, at in self._proof_begun.items() if at <= now < at + PROOF_AGAIN}
        self._proof_begun = begun
        items = [item for item in self._backups.shelf.readable() if item.id not in begun]
        if (found := least_proven(items, now)) is not None:
            self._proof_begun[found.id] = now
            self._jobs.prove(found.id, drill=False)

    def _look(self) -> None:
        journal = self._backups.journal
        before = journal.history().alarm
        found = self.standing()
        if found.alarm is Alarm.UNPROVEN and self._jobs.is_busy(KIND):
            return  # it is being read back
        if found.alarm.value != before:
            journal.keep(_told(found), alarm=found.alarm.value)
            logs.event(_log, logging.WARNING, "backups", alarm=found.sentence or "none")


class Pinger:
    """Tells a URL of each scheduled backup: a monitor elsewhere notices when nothing is told."""

    def __init__(self, backups: Backups, http: Http) -> None:
        self._backups = backups
        self._http = http

    def tell(self, error: BtyError | None) -> None:
        """Ask the URL of the settings, or that of failures."""
        url = self._backups.journal.settings().ping_url
        if not url:
            return
        target = url if error is None else _failing(url)
        try:
            self._http.get(target, limit=_PING_BYTES, seconds=PING_SECONDS)
        except BtyError as failure:
            logs.event(_log, logging.WARNING, "backups", ping=failure.message)


def _failing(url: str) -> str:
    address, mark, query = url.partition("?")
    return f"{address.rstrip('/')}/fail{mark}{query}"


def least_proven(items: Iterable[Backup], now: datetime) -> Backup | None:
    """The backup whose proof is the oldest and too old, or that has none; not what is damaged, and
    not what somebody else has put there.
    """
    aged = [
        (proven or _NEVER, item.id, item)
        for item in items
        if item.manifest.created_at and not item.marks.problems
        for proven in [moment(item.marks.proven_at or "")]
        if proven is None or proven <= now - PROOF_LASTS
    ]
    return min(aged)[2] if aged else None


def _can_be_drilled(item: Backup) -> bool:
    return item.marks.proven_at is not None


def _told(found: Standing) -> Event | None:
    match found.alarm:
        case Alarm.OVERDUE:
            return audit.overdue(found.late)
        case Alarm.UNPROVEN:
            return audit.unproven(found.newest.id if found.newest else "")
        case Alarm.DAMAGED:
            return None  # whoever found the damage has told of it
        case _:
            return audit.recovered()

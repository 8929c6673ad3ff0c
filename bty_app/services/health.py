"""Can this server do its work, and how is the fleet?"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bty_app import __version__
from bty_app.domain.moments import stamp
from bty_app.errors import BtyError
from bty_app.services.backup_schedule import BackupSchedule, ScheduleState
from bty_app.services.clock import Clock, utc_now
from bty_app.services.metrics import Metrics, Sample
from bty_app.services.offsite_jobs import OffsiteJobs
from bty_app.store import events, instance, machines
from bty_app.store.database import Database, Tx

MIN_FREE_BYTES = 32 * 1024 * 1024
PROBE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Others:
    """Whom health asks as well: `images` counts the images by what the cache has of them, `late`
    the facts of machines that wait to be recorded, and those that were dropped; `refusal` says why
    this appliance takes no changes, where it does not.
    """

    images: Callable[[], Mapping[str, int]] = dict
    backups: BackupSchedule | None = None
    late: Callable[[], tuple[int, int]] = lambda: (0, 0)
    offsite: OffsiteJobs | None = None
    refusal: Callable[[], str] = lambda: ""


class Health:
    """Probes the store at most once in a few seconds, however often it is asked."""

    def __init__(
        self,
        database: Database,
        state_dir: Path,
        metrics: Metrics,
        clock: Clock = utc_now,
        steady: Callable[[], float] = time.monotonic,
        *,
        others: Others | None = None,
    ) -> None:
        others = others or Others()
        self._offsite = others.offsite
        self._refusal = others.refusal
        self._backups = others.backups
        self._database = database
        self._state_dir = state_dir
        self._metrics = metrics
        self._clock = clock
        self._steady = steady
        self._images = others.images
        self._late = others.late
        self._lock = threading.Lock()
        self._probed_at = float("-inf")
        self._problems: list[str] = []

    def problems(self) -> list[str]:
        """What keeps this server from its work; empty when it is ready."""
        with self._lock:
            if self._steady() - self._probed_at > PROBE_SECONDS:
                self._problems = [*self._disk(), *self._writes()]
                self._probed_at = self._steady()
            return list(self._problems)

    def warnings(self) -> list[str]:
        """What somebody should look at, though it keeps the server from nothing."""
        waiting, dropped = self._late()
        waits = f"{waiting} facts of machines wait in memory to be recorded"
        lost = f"{dropped} facts of machines could not be kept"
        late = [words for count, words in ((waiting, waits), (dropped, lost)) if count]
        if why := self._refusal():  # then no backup is due here
            return [*late, why]
        return [*late, *self._about_backups(), *self._about_copies()]

    def _about_backups(self) -> list[str]:
        if self._backups is None:
            return []
        try:
            sentence = self._backups.standing().sentence
        except BtyError:  # what keeps it from its work is told as that
            return []
        return [sentence] if sentence else []

    def _about_copies(self) -> list[str]:
        """Not why: anybody may ask."""
        state = self._offsite.state() if self._offsite else None
        return ["the last try to copy backups elsewhere failed"] if state and state.error else []

    def metrics(self) -> str:
        """The text of `/metrics`."""
        gauges = self._database.read(self._gauges)
        if self._backups is not None:
            gauges += backup_gauges(self._backups.state(), self._clock())
        return self._metrics.text(gauges)

    def _disk(self) -> list[str]:
        try:
            space = os.statvfs(self._state_dir)
        except OSError as error:
            return [f"{self._state_dir} cannot be looked at: {os.strerror(error.errno or 0)}"]
        free = space.f_bavail * space.f_frsize
        if free >= MIN_FREE_BYTES:
            return []
        return [f"{free // 1024 // 1024} MiB free under {self._state_dir}: make room"]

    def _writes(self) -> list[str]:
        at = stamp(self._clock())
        try:
            self._database.write(lambda tx: instance.put(tx, "probed_at", at))
        except BtyError as error:
            return [error.message]
        return []

    def _gauges(self, tx: Tx) -> list[Sample]:
        gauges: list[Sample] = [
            ("bty_info", "The running release.", {"version": __version__}, 1),
            (
                "bty_open_failures",
                "Events that wait for an acknowledgement.",
                {},
                events.open_failures(tx),
            ),
        ]
        for mode, phase, count in machines.counts_by_mode_and_phase(tx):
            labels = {"boot_mode": mode, "phase": phase}
            gauges.append(("bty_machines", "Machines by mode and phase.", labels, count))
        late = dict(zip(("waiting", "dropped"), self._late(), strict=True))
        for state, count in late.items():
            about = "Facts of machines that could not be recorded when they happened."
            gauges.append(("bty_late_events", about, {"state": state}, count))
        for state, count in sorted(self._images().items()):
            about = "Images by what the cache has of them."
            gauges.append(("bty_images", about, {"cache": state}, count))
        return gauges


def backup_gauges(state: ScheduleState, now: datetime) -> list[Sample]:
    """How backups stand, in numbers; an age is -1 where there is none."""
    standing = state.standing
    good = standing.good_until
    proven = standing.proven.marks.proven_at if standing.proven else None
    success = state.last_success_at
    return [
        ("bty_backup_age_seconds", "Age of the newest good backup.", {}, _age(good, now)),
        (
            "bty_backup_last_success_timestamp_seconds",
            "When the last good scheduled backup began.",
            {},
            success.timestamp() if success else 0,
        ),
        (
            "bty_backup_failures",
            "Scheduled backups that failed since the last good one.",
            {},
            state.failures,
        ),
        (
            "bty_backup_last_proven_timestamp_seconds",
            "When a backup was last read back or drilled.",
            {},
            datetime.fromisoformat(proven).timestamp() if proven else 0,
        ),
        (
            "bty_backup_alarm",
            "1: a backup is overdue, not proven or damaged.",
            {},
            float(bool(standing.alarm)),
        ),
    ]


def _age(moment: datetime | None, now: datetime) -> float:
    return (now - moment).total_seconds() if moment else -1

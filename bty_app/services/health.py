"""Can this server do its work, and how is the fleet?"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bty_app import __version__
from bty_app.domain.moments import stamp
from bty_app.errors import BtyError
from bty_app.services.clock import Clock, utc_now
from bty_app.services.metrics import Metrics, Sample
from bty_app.store import events, instance, machines
from bty_app.store.database import Database, Tx

MIN_FREE_BYTES = 32 * 1024 * 1024
PROBE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Counts:
    """What others count: the images by what the cache has of them, and the facts of machines that
    wait to be recorded and those that were dropped.
    """

    images: Callable[[], Mapping[str, int]] = dict
    late: Callable[[], tuple[int, int]] = lambda: (0, 0)


_NO_COUNTS = Counts()


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
        counts: Counts = _NO_COUNTS,
    ) -> None:
        self._database = database
        self._state_dir = state_dir
        self._metrics = metrics
        self._clock = clock
        self._steady = steady
        self._counts = counts
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

    def notes(self) -> list[str]:
        """What is not in order although this server can do its work."""
        waiting, dropped = self._counts.late()
        waits = f"{waiting} facts of machines wait in memory to be recorded"
        lost = f"{dropped} facts of machines could not be kept"
        return [words for count, words in ((waiting, waits), (dropped, lost)) if count]

    def metrics(self) -> str:
        """The text of `/metrics`."""
        return self._metrics.text(self._database.read(self._gauges))

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
        late = dict(zip(("waiting", "dropped"), self._counts.late(), strict=True))
        for state, count in late.items():
            about = "Facts of machines that could not be recorded when they happened."
            gauges.append(("bty_late_events", about, {"state": state}, count))
        for state, count in sorted(self._counts.images().items()):
            about = "Images by what the cache has of them."
            gauges.append(("bty_images", about, {"cache": state}, count))
        return gauges

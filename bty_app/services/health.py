"""Can this server do its work, and how is the fleet?"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from bty_app import __version__
from bty_app.domain.moments import stamp
from bty_app.errors import BtyError
from bty_app.services.clock import Clock, utc_now
from bty_app.services.metrics import Gauge, Metrics
from bty_app.store import events, instance, machines
from bty_app.store.database import Database, Tx

MIN_FREE_BYTES = 32 * 1024 * 1024
PROBE_SECONDS = 5.0


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
        images: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        """`images` counts the images by what the cache has of them."""
        self._database = database
        self._state_dir = state_dir
        self._metrics = metrics
        self._clock = clock
        self._steady = steady
        self._images = images
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

    def metrics(self) -> str:
        """The text of `/metrics`."""
        return self._metrics.text(self._database.read(self._gauges))

    def _disk(self) -> list[str]:
        space = os.statvfs(self._state_dir)
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

    def _gauges(self, tx: Tx) -> list[Gauge]:
        gauges: list[Gauge] = [
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
        for state, count in sorted(self._images().items()):
            about = "Images by what the cache has of them."
            gauges.append(("bty_images", about, {"cache": state}, count))
        return gauges

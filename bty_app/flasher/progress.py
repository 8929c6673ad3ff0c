"""How far a flash is, told at most once a second: to the console, to a file, to the server."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from bty_app.domain.jobs import Step
from bty_app.domain.progress import ProgressReport
from bty_app.errors import CancelledError
from bty_app.flasher.console import Console
from bty_app.flasher.meter import QUIET_SECONDS, Meter, Reading, phase_name, progress_line
from bty_app.flasher.reasons import shortened

EVERY_SECONDS = 1.0
LINE_SECONDS = 10.0  # between two lines on a terminal that cannot renew one
SAME_NEWS_SECONDS = 10.0  # for the server, which takes silence for a fault
STATUS_FILE = Path("/run/bty.status")


class Output(Protocol):
    """Where readings go."""

    def __call__(self, reading: Reading, now: float, /) -> None: ...


class Progress:
    """A teller. `tell` writes to the `near` outputs; `tick`, from a thread of its own, to the
    `far` ones, which may take their time.

    Threads: any may tell; `progress` ticks.
    """

    def __init__(
        self,
        near: Sequence[Output],
        far: Sequence[Output] = (),
        *,
        is_wanted: Callable[[], bool] = lambda: True,
        steady: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._near = tuple(near)
        self._far = tuple(far)
        self._is_wanted = is_wanted
        self._steady = steady
        self._pause = pause
        self._lock = threading.Lock()
        self._meter = Meter()
        self._last: Reading | None = None
        self._taken_at = 0.0
        self._told_at = float("-inf")
        self._far_told: tuple[Reading | None, float] = (None, float("-inf"))

    def tell(self, step: Step) -> None:
        """Take note of it."""
        self._check_wanted()
        now = self._steady()
        with self._lock:
            before, self._last = self._last, self._meter.take(step, now)
            self._taken_at = now
            changed = before is None or before.phase != self._last.phase
            if changed or now - self._told_at >= EVERY_SECONDS:
                self._tell(self._last, now)

    def is_wanted(self) -> bool:
        """Whether the flash is to go on."""
        return self._is_wanted()

    def wait(self, seconds: float) -> None:
        """Let time pass, as long as the flash is wanted."""
        until = self._steady() + seconds
        while (left := until - self._steady()) > 0:
            self._check_wanted()
            self._pause(min(left, EVERY_SECONDS))
        self._check_wanted()

    def tick(self) -> None:
        """Tell the server what is new, and everybody that a quiet phase goes on."""
        now = self._steady()
        with self._lock:
            reading = self._last
            if reading is None:
                return
            reading = replace(reading, in_phase=reading.in_phase + now - self._taken_at)
            if now - self._told_at >= QUIET_SECONDS:
                self._tell(reading, now)
            told, told_at = self._far_told
            if told == self._last and now - told_at < SAME_NEWS_SECONDS:
                return
            self._far_told = (self._last, now)
        for output in self._far:
            output(reading, now)

    @contextmanager
    def ticking(self) -> Iterator[None]:
        """Tick once a second, for as long as the block takes."""
        over = threading.Event()

        def run() -> None:
            while not over.wait(EVERY_SECONDS):
                self.tick()

        thread = threading.Thread(target=run, name="progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _tell(self, reading: Reading, now: float) -> None:
        self._told_at = now
        for output in self._near:
            output(reading, now)

    def _check_wanted(self) -> None:
        if not self._is_wanted():
            raise CancelledError("stopped at the console")


class ConsoleOutput:
    """One line that is renewed, or a plain one now and then."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._phase = ""
        self._remark = ""
        self._written_at = float("-inf")

    def __call__(self, reading: Reading, now: float) -> None:
        if reading.remark and reading.remark != self._remark:
            self._console.say(reading.remark)
        self._remark = reading.remark
        if self._console.renews:
            self._console.renew(progress_line(reading))
        elif reading.phase != self._phase or now - self._written_at >= LINE_SECONDS:
            self._phase, self._written_at = reading.phase, now
            self._console.say(progress_line(reading))


class StatusFile:
    """The last reading, as `key=value` words for other programs."""

    def __init__(self, path: Path = STATUS_FILE) -> None:
        self._path = path

    def __call__(self, reading: Reading, _now: float) -> None:
        fields = {
            "phase": phase_name(reading.phase),
            "bytes": reading.done,
            "total": reading.total,
            "written": reading.written,
            "rate": reading.rate,
            "seconds_left": reading.seconds_left,
        }
        line = " ".join(f"{key}={value}" for key, value in fields.items() if value is not None)
        beside = self._path.with_name(f".{self._path.name}.new")
        with contextlib.suppress(OSError):  # a host where /run is not ours to write
            beside.write_text(f"{line}\n", encoding="ascii")
            os.replace(beside, self._path)  # noqa: PTH105 - readers never see half of it


class ServerOutput:
    """Reports to a server, which `report` asks."""

    def __init__(self, report: Callable[[ProgressReport], None]) -> None:
        self._report = report

    def __call__(self, reading: Reading, _now: float) -> None:
        phase = phase_name(reading.phase)
        hindered = shortened(reading.remark) or None
        report = ProgressReport(phase, reading.done, reading.total, reading.rate, hindered)
        self._report(report)

"""Readings of a flash under way: what is done, how fast, how long it will take."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

from bty_app.domain.jobs import Step
from bty_app.flasher import words
from bty_app.flasher.console import WIDTH
from bty_app.flasher.order import FlashStep

WINDOW_SECONDS = 15.0  # over which a rate is measured
SAMPLE_SECONDS = 0.5
QUIET_SECONDS = 5.0  # without an end in sight, the time that a phase takes is told

_NOT_IN_A_PHASE = re.compile(r"[^a-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Reading:
    """How far it is. `done` and `total` count fetched bytes, `written` those of the image that
    are on the disk; `rate` is of the former, in bytes a second; `remark` is what hinders it.
    """

    phase: str
    done: int = 0
    total: int | None = None
    written: int | None = None
    rate: int | None = None
    seconds_left: int | None = None
    in_phase: float = 0.0
    remark: str = ""


class Meter:
    """Makes readings of steps."""

    def __init__(self) -> None:
        self._phase = ""
        self._since = 0.0
        self._seen: deque[tuple[float, int]] = deque()

    def take(self, step: Step, now: float) -> Reading:
        """The reading at `now`."""
        phase, _, remark = step.words.partition("; ")
        if phase != self._phase or (self._seen and step.done < self._seen[-1][1]):
            self._seen.clear()
        if phase != self._phase:
            self._phase, self._since = phase, now
        while len(self._seen) > 1 and now - self._seen[1][0] >= WINDOW_SECONDS:
            self._seen.popleft()
        if not self._seen or now - self._seen[-1][0] >= SAMPLE_SECONDS:
            self._seen.append((now, step.done))
        first_at, first_done = self._seen[0]
        seconds = now - first_at
        rate = int((step.done - first_done) / seconds) if seconds >= 1 and step.done else None
        left = None
        if rate and step.total is not None:
            left = max(0, step.total - step.done) // rate
        written = step.bytes_image if isinstance(step, FlashStep) else None
        in_phase = now - self._since
        return Reading(phase, step.done, step.total, written, rate, left, in_phase, remark)


def phase_name(phase: str) -> str:
    """A phase as the wire has it: lower case, no spaces."""
    name = _NOT_IN_A_PHASE.sub("-", phase.lower()).strip("-_0123456789")[:32]
    return name or "working"


def progress_line(reading: Reading) -> str:
    """A reading in one line; what matters least is left out first."""
    head = reading.phase[:28]
    if reading.total:
        share = min(100, reading.done * 100 // reading.total)
        head = f"{head} {share:3d} %"
    parts = []
    if reading.total:
        parts.append(f"{words.size(reading.done)} of {words.size(reading.total)}")
    elif reading.done:
        parts.append(words.size(reading.done))
    if reading.rate is not None:
        parts.append(f"{words.size(reading.rate)}/s")
    if reading.seconds_left is not None:
        parts.append(f"{words.duration(reading.seconds_left)} left")
    elif reading.in_phase >= QUIET_SECONDS:
        parts.append(f"for {words.duration(reading.in_phase)}")
    if reading.written:
        parts.append(f"{words.size(reading.written)} written")
    line = head
    for part in parts:
        if len(line) + 2 + len(part) <= WIDTH:
            line = f"{line}  {part}"
    return line

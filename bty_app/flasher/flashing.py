"""One flash from its last checks to its end, with progress; ^C stops it and says what is left."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Protocol

from bty_app.domain.jobs import Teller
from bty_app.errors import (
    BtyError,
    CancelledError,
    FlashError,
    FlashRefusedError,
    NotFoundError,
    UnavailableError,
)
from bty_app.flasher import words
from bty_app.flasher.console import Console
from bty_app.flasher.disks import Disk, check_unchanged, check_writable
from bty_app.flasher.order import Order, Outcome
from bty_app.flasher.progress import ConsoleOutput, Output, Progress
from bty_app.flasher.reasons import UNBOOTABLE, UNTOUCHED
from bty_app.flasher.wipe import WipeReport, wipe

_SENTENCES = (FlashError, CancelledError, NotFoundError, UnavailableError)
HALF_ERASED = "part of it is erased, and it does not boot"


class Flash(Protocol):
    """Writes an image onto a disk (`flasher.flash`)."""

    def __call__(self, order: Order, device_path: str, teller: Teller, /) -> Outcome: ...


class Check(Protocol):
    """Refuses what a flash would refuse (`flasher.check`)."""

    def __call__(self, order: Order, device_path: str, teller: Teller, /) -> None: ...


class Erase(Protocol):
    """Erases a disk (`wipe.wipe`)."""

    def __call__(self, disk: Disk, method: str, teller: Teller, /) -> WipeReport: ...


@dataclass(frozen=True, slots=True)
class Acts:
    """What is done to a disk."""

    flash: Flash
    check: Check
    erase: Erase = wipe


class Flashing:
    """Flashes. `outputs` get the progress besides the console."""

    def __init__(
        self,
        acts: Acts,
        probe: Callable[[], list[Disk]],
        console: Console,
        *,
        outputs: Sequence[Output] = (),
        far: Sequence[Output] = (),
    ) -> None:
        self._acts = acts
        self._probe = probe
        self._console = console
        self._outputs = tuple(outputs)
        self._far = tuple(far)

    def write(self, order: Order, disk: Disk, wipe_by: str | None = None) -> Written:
        """Look at the disk once more, then write it; before that erase it, where `wipe_by` names a
        method of `wipe`. Whatever can be refused is refused before anything of the disk is changed.

        Raises:
            CancelledError: it was stopped with ^C. The sentence of this error, and of the others,
                says what state the disk is in.
            FlashError: and its kinds, as `flasher.flash` raises them.
            NotFoundError, UnavailableError: the image cannot be had.
        """
        report = self._wiped(order, disk, wipe_by) if wipe_by else None
        try:
            check_writable(check_unchanged(disk, self._probe()))
            with self._progress(disk) as progress:
                outcome = self._acts.flash(order, disk.path, progress)
        except BtyError as error:
            if report is None:
                raise
            raise _after_wipe(error, report) from error
        return Written(outcome, report, is_verified=order.verify)

    def _wiped(self, order: Order, disk: Disk, method: str) -> WipeReport:
        check_writable(check_unchanged(disk, self._probe()))
        with self._progress(disk) as progress:
            self._acts.check(order, disk.path, progress)
        report = self._wipe(disk, method)
        self._console.say(report.sentence)
        return report

    def _wipe(self, disk: Disk, method: str) -> WipeReport:
        now = check_unchanged(disk, self._probe())
        with self._progress(disk) as progress:
            try:
                return self._acts.erase(now, method, progress)
            except CancelledError as error:
                raise CancelledError(f"{error.message}; {HALF_ERASED}") from error

    @contextmanager
    def _progress(self, disk: Disk) -> Iterator[Progress]:
        with _stoppable() as is_wanted:
            near = (ConsoleOutput(self._console), *self._outputs)
            progress = Progress(near, self._far, is_wanted=is_wanted)
            try:
                with progress.ticking():
                    yield progress
            except CancelledError as error:
                raise CancelledError(f"{disk.about}: {error.message}") from error
            finally:
                self._console.clear()


@dataclass(frozen=True, slots=True)
class Written:
    """An image that is on the disk, and what was done besides; `is_verified`: all of it was read
    back and is the same.
    """

    outcome: Outcome
    wiped: WipeReport | None = None
    is_verified: bool = False

    @property
    def sentence(self) -> str:
        """What is told of it."""
        verified = "; all of it was read back, and is the same" if self.is_verified else ""
        return f"{summary(self.outcome)}{verified}"

    @property
    def extras(self) -> str | None:
        """What the server is told beyond that it is done, where there is anything."""
        told = [self.wiped.sentence] if self.wiped else []
        told += ["everything was read back and compared"] if self.is_verified else []
        return "; ".join(told) or None


def _after_wipe(error: BtyError, report: WipeReport) -> BtyError:
    """The failure of a flash whose disk had been wiped: nothing of the image was written, perhaps,
    and yet the disk is not as it was.
    """
    told = error.message.removesuffix(f"; {UNTOUCHED}").removesuffix(f"; {UNBOOTABLE}")
    sentence = f"{told}; it was wiped before ({report.done}), and {UNBOOTABLE}"
    is_refusal = isinstance(error, FlashRefusedError) or not isinstance(error, _SENTENCES)
    return FlashError(sentence) if is_refusal else type(error)(sentence)


def failure(error: Exception) -> str:
    """What is told of a failed flash: the sentence, and where it is not clear the disk's state."""
    if isinstance(error, BtyError):
        return error.message
    return f"unexpected failure: {type(error).__name__}: {error}; the disk may be half written"


def summary(outcome: Outcome) -> str:
    """What is told of a flash that is done."""
    rate = words.size(int(outcome.bytes_image / max(outcome.seconds, 0.001)))
    labels = " and ".join(dict.fromkeys(source.label for source in outcome.sources_used))
    return (
        f"{words.size(outcome.bytes_image)} in {words.duration(outcome.seconds)} ({rate}/s)"
        f" from {words.size(outcome.bytes_fetched)} of {labels or 'the image'},"
        f" sha256 {outcome.sha256}{''.join(f'; {note}' for note in outcome.notes)}"
    )


@contextmanager
def _stoppable() -> Iterator[Callable[[], bool]]:
    """The first ^C asks the flash to end; the second ends the program where it is."""
    stopped = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt
        stopped.set()

    if threading.current_thread() is not threading.main_thread():
        yield lambda: True
        return
    before = signal.signal(signal.SIGINT, stop)
    try:
        yield lambda: not stopped.is_set()
    finally:
        signal.signal(signal.SIGINT, before)

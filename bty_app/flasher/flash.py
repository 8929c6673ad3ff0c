"""The flash: an image onto a disk, or a disk that does not boot and the reason for it.

Threads of a flash, each of which waits for the next: one fetches and takes the digest, one or
several decode, one writes. The caller's thread watches, and tells.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bty_app.domain.jobs import Teller
from bty_app.errors import (
    BtyError,
    CancelledError,
    FlashError,
    FlashIntegrityError,
    FlashRefusedError,
    NotFoundError,
    UnavailableError,
)
from bty_app.flasher import preflight
from bty_app.flasher.bmap import Watch, parse
from bty_app.flasher.device import Device
from bty_app.flasher.flow import Flow
from bty_app.flasher.order import FlashStep, Order, Outcome, Source
from bty_app.flasher.stream import ImageStream, Tools
from bty_app.flasher.verify import Verify
from bty_app.flasher.writer import Tally, Writer

__all__ = ["FlashStep", "Order", "Outcome", "Source", "Tools", "flash"]

TELL_SECONDS = 0.2
UNTOUCHED = "nothing was written"
UNBOOTABLE = "the disk does not boot: flash it again"


def flash(order: Order, device_path: str, teller: Teller, *, tools: Tools | None = None) -> Outcome:
    """Write the image of `order` onto `device_path`, whose old content is lost with the first byte.

    When this raises, the disk is untouched or does not boot; the sentence says which.

    Raises:
        CancelledError: the teller says so.
        FlashRefusedError: the disk or the image must not be used; nothing was written.
        FlashIntegrityError: the image is damaged, or another one than was promised.
        FlashWriteError: the disk failed, or the image is larger than it.
        FlashError: anything else.
        NotFoundError, UnavailableError: the image cannot be had.
    """
    tools = tools or Tools()
    device = tools.open_device(device_path)
    with contextlib.closing(device):
        return _Flashing(order, device, teller, tools).run()


class _Flashing:
    """One flash."""

    def __init__(self, order: Order, device: Device, teller: Teller, tools: Tools) -> None:
        self._order = order
        self._device = device
        self._teller = teller
        self._flow = Flow()
        self._stream = ImageStream(order, self._flow, tools, self._look_at_source)
        self._fetch = self._stream.fetch
        self._tally = Tally()
        self._bmap = parse(order.bmap) if order.bmap is not None else None
        self._writer = Writer(
            device,
            self._tally,
            check_head=self._check_head,
            watch=Watch(self._bmap) if self._bmap else None,
            records=order.verify,
        )
        self._least_size = self._bmap.size if self._bmap else 0

    def run(self) -> Outcome:
        began = time.monotonic()
        with self._ended_cleanly():
            self._write()
            self._tell("flushing")
            self._device.flush()
            if self._order.verify:
                self._verify("checking")
            self._tell("finishing")
            self._writer.write_head()
            if self._order.verify:
                self._verify_head()
            self._device.announce()
        progress, tally = self._fetch.progress, self._tally
        return Outcome(
            bytes_fetched=progress.done,
            bytes_image=tally.image,
            bytes_written=tally.written,
            bytes_zeroed=tally.zeroed,
            sha256=self._fetch.sha256,
            seconds=time.monotonic() - began,
            sources_used=tuple(progress.used),
        )

    # -- phases --------------------------------------------------------------------------------

    def _write(self) -> None:
        """Everything but the first MiB is on its way to the disk, and the digest is right."""
        self._tell("opening")
        self._stream.start()
        self._flow.start("flash-write", lambda: self._writer.write_all(self._stream.ring))
        self._watch(self._tell_writing)
        if not self._tally.image:
            raise FlashIntegrityError("the image is empty")

    def _verify(self, words: str) -> None:
        record, self._writer.record = self._writer.record, []
        total = sum(written.length for written in record)
        verify = Verify(self._device, record, self._flow)
        verify.start()
        self._watch(lambda: self._tell(words, verify.done, total))

    def _verify_head(self) -> None:
        try:
            self._verify("checking")
        except BaseException:
            self._writer.take_back()
            raise

    def _look_at_source(self, head: bytes) -> None:
        """Refuse what cannot fit, by what the source tells before anything is written."""
        progress = self._fetch.progress
        tail = None
        if progress.total and self._order.format in preflight.TELLING_TAILS:
            source = progress.used[-1]
            tail = self._stream.sources.tail(
                source,
                progress.total,
                preflight.TAIL_BYTES,
                is_wanted=lambda: not self._flow.is_stopped,
            )
        least = preflight.least_size(self._order.format, head, tail, progress.total)
        self._least_size = max(self._least_size, least)
        preflight.check_size(self._device, self._least_size)

    def _check_head(self, head: memoryview) -> None:
        is_exact = self._order.format == "img" or self._bmap is not None
        size_known = is_exact and self._least_size > 0
        preflight.check_head(self._device, head, size_known=size_known)

    # -- watching ------------------------------------------------------------------------------

    def _watch(self, tell: Callable[[], None]) -> None:
        """Until all threads have ended; raises what failed in them."""
        while not self._flow.wait_over(TELL_SECONDS):
            tell()
        self._flow.join()
        if self._flow.failure is not None:
            raise self._flow.failure
        tell()

    def _tell_writing(self) -> None:
        progress = self._fetch.progress
        words = "writing" if self._tally.has_begun else "opening"
        if progress.words:
            words = f"{words}; trying again: {progress.words}"
        self._tell(words, progress.done, progress.total)

    def _tell(self, words: str, done: int | None = None, total: int | None = None) -> None:
        tally, progress = self._tally, self._fetch.progress
        done, total = (progress.done, progress.total) if done is None else (done, total)
        step = FlashStep(words, done, total, tally.image, tally.written, tally.zeroed)
        self._teller.tell(step)

    @contextmanager
    def _ended_cleanly(self) -> Iterator[None]:
        """Whatever ends the block: no thread and no child is left, and the sentence says what
        state the disk is in.
        """
        try:
            yield
        except BtyError as error:
            self._end()
            raise _with_state(error, has_begun=self._tally.has_begun) from error
        except BaseException:
            self._end()
            raise

    def _end(self) -> None:
        self._flow.stop()
        self._flow.join()


def _with_state(error: BtyError, *, has_begun: bool) -> BtyError:
    """The same failure, with the state of the disk in its sentence."""
    sentence = f"{error.message}; {UNBOOTABLE if has_begun else UNTOUCHED}"
    if isinstance(error, FlashRefusedError) and has_begun:
        return FlashError(sentence)  # a refusal says that nothing was written
    if isinstance(error, FlashError):
        return type(error)(sentence)
    kinds = (CancelledError, NotFoundError, UnavailableError)
    kind = next((kind for kind in kinds if isinstance(error, kind)), FlashError)
    return kind(sentence)

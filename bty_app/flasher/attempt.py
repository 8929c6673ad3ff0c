"""One go at a flash: the image from its first byte to its last, from some of its sources.

Threads, each of which waits for the next: one fetches and takes the digest, one or several decode,
one writes. The caller's thread watches, and tells.
"""

from __future__ import annotations

from collections.abc import Callable

from bty_app.domain.jobs import Teller
from bty_app.errors import BtyError, FlashIntegrityError, FlashRefusedError
from bty_app.flasher import preflight
from bty_app.flasher.bmap import Bmap, Watch
from bty_app.flasher.device import Device
from bty_app.flasher.flow import Flow
from bty_app.flasher.order import FlashStep, Order
from bty_app.flasher.stream import ImageStream, Tools
from bty_app.flasher.verify import Verify
from bty_app.flasher.writer import ImageTooLargeError, Tally, Writer

TELL_SECONDS = 0.2


class Attempt:
    """One go. `remark` is told with every step. Whatever happens, `end` comes last."""

    def __init__(
        self,
        order: Order,
        bmap: Bmap | None,
        device: Device,
        teller: Teller,
        tools: Tools,
        remark: str,
    ) -> None:
        self.tally = Tally()
        self._order = order
        self._device = device
        self._teller = teller
        self._remark = remark
        self._flow = Flow()
        self._stream = ImageStream(order, self._flow, tools, self._look_at_source)
        self.fetch = self._stream.fetch
        self._is_mapped = bmap is not None
        self._least_size = bmap.size if bmap else 0
        self._writer = Writer(
            device,
            self.tally,
            check_head=self._check_head,
            watch=Watch(bmap) if bmap else None,
            records=order.verify,
        )

    def write(self) -> None:
        """Everything but the first MiB is on its way to the disk, and the digest is right.

        Raises:
            As `flash`.
        """
        self._tell("opening")
        self._stream.start()
        self._flow.start("flash-write", lambda: self._writer.write_all(self._stream.ring))
        self._watch(self._tell_writing)
        if not self.tally.image:
            raise FlashIntegrityError("the image is empty")

    def look(self) -> None:
        """The image may be written, as far as its beginning tells. Nothing is.

        Raises:
            As `flash`.
        """
        has_come = False

        def look() -> None:
            nonlocal has_come
            has_come = self._writer.look(self._stream.ring)
            self._flow.stop()

        self._tell("looking at the image")
        self._stream.start()
        self._flow.start("flash-look", look)
        self._watch(lambda: self._tell("looking at the image"))
        if not has_come:
            raise FlashIntegrityError("the image is empty")

    def finish(self) -> None:
        """All of it is on the disk, which boots from now on.

        Raises:
            As `flash`.
        """
        self._tell("flushing")
        self._device.flush()
        if self._order.verify:
            self._verify("checking")
        self._tell("finishing")
        self._writer.write_head()
        if self._order.verify:
            self._verify_head()
        self._device.announce()

    def end(self) -> None:
        """No thread and no child of this go is left."""
        self._flow.stop()
        self._flow.join()

    def take_back(self) -> None:
        """Wipe what an image that is not the right one may have left at either end of the disk."""
        if self.tally.has_begun:
            self._writer.take_back()

    def is_of_image(self, error: BtyError) -> bool:
        """Whether this failure is one of the bytes that came: other bytes may do better."""
        if isinstance(error, FlashRefusedError):
            return not self.tally.has_begun
        return isinstance(error, FlashIntegrityError | ImageTooLargeError)

    # -- looking at the image ------------------------------------------------------------------

    def _look_at_source(self, head: bytes) -> None:
        """Refuse what cannot fit, by what the source tells before anything is written."""
        progress = self.fetch.progress
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
        if self._order.format == "img.gz":
            preflight.check_gzip_size(self._device, least, progress.total)
        self._least_size = max(self._least_size, least)
        preflight.check_size(self._device, self._least_size)

    def _check_head(self, head: memoryview) -> None:
        is_exact = self._order.format == "img" or self._is_mapped
        size_known = is_exact and self._least_size > 0
        preflight.check_head(self._device, head, size_known=size_known)

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
        progress = self.fetch.progress
        words = "writing" if self.tally.has_begun else "opening"
        words = "reading ahead" if progress.is_ahead else words
        if progress.words:
            words = f"{words}; trying again: {progress.words}"
        self._tell(words, progress.done, progress.total)

    def _tell(self, words: str, done: int | None = None, total: int | None = None) -> None:
        tally, progress = self.tally, self.fetch.progress
        done, total = (progress.done, progress.total) if done is None else (done, total)
        told = f"{words}; {self._remark}" if self._remark else words
        self._teller.tell(FlashStep(told, done, total, tally.image, tally.written, tally.zeroed))

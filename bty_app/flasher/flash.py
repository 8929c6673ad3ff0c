"""The flash: an image onto a disk, or a disk that does not boot and the reason for it.

A source may give other bytes than it should. Then the image is taken from the next one, from its
first byte on: what came from a rotten source never stays beside what comes from another.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from bty_app.domain.jobs import Teller
from bty_app.errors import (
    BtyError,
    CancelledError,
    FlashError,
    FlashRefusedError,
    NotFoundError,
    UnavailableError,
)
from bty_app.flasher.attempt import Attempt
from bty_app.flasher.bmap import Bmap, OtherImageError, parse
from bty_app.flasher.device import Device
from bty_app.flasher.goes import Go, Rotten, after_damage, after_quarrel, shown, verdict
from bty_app.flasher.order import FlashStep, Order, Outcome, Source
from bty_app.flasher.reasons import UNBOOTABLE, UNTOUCHED
from bty_app.flasher.stream import Tools

__all__ = ["FlashStep", "Order", "Outcome", "Source", "Tools", "check", "flash"]


def flash(order: Order, device_path: str, teller: Teller, *, tools: Tools | None = None) -> Outcome:
    """Write the image of `order` onto `device_path`, whose old content is lost with the first byte.

    When this raises, the disk is untouched or does not boot; the sentence says which.

    Raises:
        CancelledError: the teller says so.
        FlashRefusedError: the disk or the image must not be used; nothing was written.
        FlashIntegrityError: the image is damaged, or another one than was promised, and that from
            every source.
        FlashWriteError: the disk failed, or the image is larger than it.
        FlashError: anything else.
        NotFoundError, UnavailableError: the image cannot be had.
    """
    tools = tools or Tools()
    device = tools.open_device(device_path)
    with contextlib.closing(device):
        return _Flashing(order, device, teller, tools).run()


def check(order: Order, device_path: str, teller: Teller, *, tools: Tools | None = None) -> None:
    """Look at the beginning of the image, and refuse what `flash` would refuse before it writes.

    For those who destroy what is on the disk before the flash. Nothing is written.

    Raises:
        As `flash`.
    """
    tools = tools or Tools()
    device = tools.open_device(device_path)
    with contextlib.closing(device):
        _Flashing(order, device, teller, tools).look()


class _Flashing:
    """One flash."""

    def __init__(self, order: Order, device: Device, teller: Teller, tools: Tools) -> None:
        self._order = order
        self._device = device
        self._teller = teller
        self._tools = tools
        self._goes: tuple[Go, ...] = (order.sources,)
        self._failures: list[Rotten] = []
        self._notes: list[str] = []
        self._has_begun = False
        self._bmap = self._usable_bmap()
        self._attempt = self._next_attempt()

    def run(self) -> Outcome:
        began = time.monotonic()
        with self._ended_cleanly():
            self._go_through(lambda attempt: attempt.write())
            self._attempt.finish()
        fetch, tally = self._attempt.fetch, self._attempt.tally
        return Outcome(
            bytes_fetched=fetch.progress.done,
            bytes_image=tally.image,
            bytes_written=tally.written,
            bytes_zeroed=tally.zeroed,
            sha256=fetch.sha256,
            seconds=time.monotonic() - began,
            sources_used=tuple(fetch.progress.used),
            notes=tuple(self._notes),
        )

    def look(self) -> None:
        with self._ended_cleanly():
            self._go_through(lambda attempt: attempt.look())
            self._end()

    def _go_through(self, act: Callable[[Attempt], None]) -> None:
        """One go after the other, until the image came as it should: at most one for each source
        besides the first that takes them all.
        """
        while True:
            try:
                act(self._attempt)
            except BtyError as error:
                self._end()
                self._go_on(error)
                self._attempt = self._next_attempt()
            else:
                return

    def _next_attempt(self) -> Attempt:
        order, remark = replace(self._order, sources=self._goes[0]), "; ".join(self._notes)
        return Attempt(order, self._bmap, self._device, self._teller, self._tools, remark)

    def _go_on(self, error: BtyError) -> None:
        """Decide on the next go.

        Raises:
            BtyError: there is none.
        """
        attempt, fetch = self._attempt, self._attempt.fetch
        if self._bmap and isinstance(error, OtherImageError) and fetch.is_proven:
            self._bmap = None  # the digest says better than a file beside the image what it is
            self._notes.append(f"the .bmap file is passed over: {error.message}")
            return
        if attempt.is_of_image(error):
            used = tuple(fetch.progress.used)
            self._failures.append(Rotten(used, error))
            self._goes = after_damage(self._goes, used)
        else:
            others = fetch.others if fetch.is_proven else ()
            is_source = isinstance(error, NotFoundError | UnavailableError)
            if not is_source or not (others or self._failures):
                raise error
            self._failures.append(Rotten(self._goes[0], error))
            self._goes = after_quarrel(self._goes, others)
        if not self._goes:
            attempt.take_back()
            raise verdict(self._failures)
        self._notes.append(f"{self._failures[-1].sentence}; taken anew from {self._following()}")

    def _following(self) -> str:
        return " or ".join(map(shown, self._goes[0]))

    def _usable_bmap(self) -> Bmap | None:
        """The block map, which is of use and never needed. One of a qcow2 file can only be about
        the file, or about another image.
        """
        if self._order.bmap is None:
            return None
        if self._order.format == "qcow2":
            self._notes.append("the .bmap file is passed over: qcow2 has a map of its own")
            return None
        try:
            return parse(self._order.bmap)
        except FlashRefusedError as error:
            self._notes.append(f"{error.message}: it is passed over")
            return None

    @contextmanager
    def _ended_cleanly(self) -> Iterator[None]:
        """Whatever ends the block: no thread and no child is left, and the sentence says what
        state the disk is in.
        """
        try:
            yield
        except BtyError as error:
            self._end()
            raise _with_state(error, has_begun=self._has_begun) from error
        except BaseException:
            self._end()
            raise

    def _end(self) -> None:
        self._attempt.end()
        self._has_begun = self._has_begun or self._attempt.tally.has_begun


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

"""A flash that writes nothing, hands that only take notes, and a console that is read."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field

from bty_app.domain.jobs import Teller
from bty_app.errors import BtyError, CancelledError
from bty_app.flasher.console import Console
from bty_app.flasher.disks import Disk
from bty_app.flasher.order import FlashStep, Order, Outcome
from bty_app.flasher.wipe import WipeReport

DISK = Disk(
    path="/dev/sda",
    size_bytes=8 * 2**30,
    serial="S1",
    model="Disk One",
    tran="sata",
    device_numbers=(8, 0),
)
OTHER = Disk(
    path="/dev/sdb", size_bytes=2**40, serial="S2", model="Disk Two", device_numbers=(8, 16)
)


@dataclass
class FakeFlash:
    """Takes steps, and ends as it is told: `acts` are called one a flash, and may raise."""

    acts: list[Callable[[], None]] = field(default_factory=list)
    orders: list[tuple[Order, str]] = field(default_factory=list)
    checks: list[Callable[[], None]] = field(default_factory=list)
    checked: list[tuple[Order, str]] = field(default_factory=list)

    def check(self, order: Order, device_path: str, _teller: Teller) -> None:
        """What comes before a wipe."""
        self.checked.append((order, device_path))
        if self.checks:
            self.checks.pop(0)()

    def __call__(self, order: Order, device_path: str, teller: Teller) -> Outcome:
        self.orders.append((order, device_path))
        teller.tell(FlashStep("writing", 50, 100, bytes_image=200))
        if self.acts:
            self.acts.pop(0)()
        if not teller.is_wanted():
            raise CancelledError("stopped at the console; the disk does not boot: flash it again")
        teller.tell(FlashStep("flushing", 100, 100, bytes_image=400))
        return Outcome(100, 400, 300, 100, "ab" * 32, 2.0, order.sources[:1])


@dataclass
class FakeErase:
    """Erases nothing, and says so; `failure` is what it raises."""

    asked: list[tuple[str, str]] = field(default_factory=list)
    failure: BtyError | None = None

    def __call__(self, disk: Disk, method: str, _teller: Teller) -> WipeReport:
        self.asked.append((disk.path, method))
        if self.failure:
            raise self.failure
        return WipeReport(disk.about, method, "zeros written over every block", 3.0, 256, 256)


class Screen:
    """A console and what is on it."""

    def __init__(self, *, renews: bool = False) -> None:
        self._out = io.StringIO()
        self.console = Console(self._out, renews=renews)

    def enter(self) -> None:
        """What a terminal shows when a line is ended."""
        self._out.write("\n")

    @property
    def text(self) -> str:
        return self._out.getvalue()

    @property
    def said(self) -> str:
        """The same, as if no line had been too long."""
        return self.text.replace("\n", " ")

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


@dataclass
class Keyboard:
    """Whoever is there: after `presses[n]` seconds of the n-th wait a key is pressed."""

    acts: dict[int, Callable[[], None]] = field(default_factory=dict)
    press_at: set[int] = field(default_factory=set)
    waits: list[float] = field(default_factory=list)
    most: int = 5000

    def pressed(self, seconds: float) -> bool:
        """Time does not pass."""
        self.waits.append(seconds)
        number = len(self.waits)
        assert number < self.most, "it waits for ever"
        if act := self.acts.get(number):
            act()
        return number in self.press_at

"""The machine does what the server wants of it (SPEC 7, CONTRACT 5), and is never stuck.

Every report goes out before anything that waits for a person; every wait says what for.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, assert_never

from bty_app import __version__
from bty_app.errors import BtyError, UnavailableError
from bty_app.flasher.console import Console
from bty_app.flasher.disks import Disk, check_writable, find
from bty_app.flasher.flashing import Flashing, Written, failure
from bty_app.flasher.inventory import inventory
from bty_app.flasher.order import Order
from bty_app.flasher.plan import (
    ExitPlan,
    FlashPlan,
    InteractivePlan,
    InventoryPlan,
    Plan,
    WaitPlan,
)
from bty_app.flasher.retry import AwayError, Patience, insist
from bty_app.flasher.server import FOR_EVER, Server, Told
from bty_app.flasher.waiting import KeyPressedError, Waiting

ONCE = Patience(in_all=0.0)
A_WHILE = Patience(in_all=120.0)
LSHW_HEAD_START = 3.0  # an inventory waits as long for lshw; later, it is told again
LSHW_SECONDS = 45.0
IDLE_SECONDS = 60.0
FIRST_PAUSE, LONGEST_PAUSE = 30.0, 900.0  # after a failed flash


class Ending(Enum):
    """Why the loop is over."""

    REBOOT = "reboot"
    NOTHING_TO_DO = "nothing to do"
    QUIT = "quit"


class PlanChangedError(Exception):
    """The server has work for this machine, while a person has not touched the wizard."""


class Wizard(Protocol):
    """Lets a person choose; `idle` is called while nobody does."""

    def __call__(self, catalog: str, idle: Callable[[], None]) -> Ending: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """What has effects."""

    probe: Callable[[], list[Disk]]
    lshw: Callable[[], object]
    order: Callable[[FlashPlan], Order]
    flashing: Flashing
    after_flash: Callable[[Disk], None]
    reboot: Callable[[], None]
    wizard: Wizard


class Run:
    """The loop. With `stays` this is a live environment: there is nothing behind it to go to."""

    def __init__(
        self, server: Server, console: Console, waiting: Waiting, hands: Hands, *, stays: bool
    ) -> None:
        self._server = server
        self._console = console
        self._waiting = waiting
        self._hands = hands
        self._stays = stays
        self._lshw = Lshw(hands.lshw)
        self._told_inventory = b""
        self._failed: FlashPlan | None = None
        self._failures = 0

    def run(self) -> Ending:
        """Until the machine reboots, there is nothing to do, or a person quits."""
        self._console.mark(f"bty: entered v{__version__}")
        self._console.say("looking at the hardware of this machine")
        self._lshw.start()
        try:
            ending = self._loop()
        finally:
            self._console.mark(f"bty: exiting v{__version__}")
        if ending is Ending.REBOOT:
            self._hands.reboot()
        return ending

    def _loop(self) -> Ending:
        while True:
            try:
                self._tell_inventory(LSHW_HEAD_START, A_WHILE)
                plan = self._next_plan()
                if not self._told_inventory:  # a plan makes a record of a machine without one
                    self._tell_inventory(0, ONCE)
                ending = self._do(plan)
            except KeyPressedError:
                ending = self._wizard(None, "")
            if ending is not None:
                return ending

    def _next_plan(self) -> Plan:
        self._console.say(f"asking {self._server.url} what {self._server.mac} is to do")
        return self._server.plan(wait=self._waiting.or_key)

    def _do(self, plan: Plan) -> Ending | None:
        """Carry the plan out; None when there is to be another one."""
        match plan:
            case FlashPlan():
                return self._flash(plan)
            case InventoryPlan():
                self._tell_inventory(LSHW_SECONDS, FOR_EVER)
                self._console.say("the inventory is told; rebooting")
                return Ending.REBOOT
            case InteractivePlan(catalog, why):
                return self._wizard(catalog, why)
            case WaitPlan(seconds):
                self._waiting.or_key(seconds, "The server wants this machine to wait.")
                return None
            case ExitPlan():
                self._console.say("the server has nothing for this machine to do here")
                if not self._stays:
                    return Ending.NOTHING_TO_DO
                self._waiting.or_key(IDLE_SECONDS, "Waiting for the server to have something.")
                return None
            case _:
                assert_never(plan)

    # -- the inventory -------------------------------------------------------------------------

    def _tell_inventory(self, lshw_seconds: float, patience: Patience) -> None:
        """Tell the hardware, unless the server knows it already.

        Raises:
            KeyPressedError: somebody does not want to wait for the server.
        """
        try:
            disks = self._hands.probe()
        except BtyError as error:
            self._console.say(error.message)
            return
        tree = self._lshw.wait(lshw_seconds)
        body = inventory(disks, tree)
        if body == self._told_inventory:
            return
        wait = self._waiting.or_key
        told = self._server.report_inventory(disks, tree, patience, wait)
        if told is Told.TAKEN:
            self._told_inventory = body
        else:
            self._console.say(f"the inventory of {len(disks)} disks was not taken: {told.value}")

    # -- a flash -------------------------------------------------------------------------------

    def _flash(self, plan: FlashPlan) -> Ending | None:
        if plan != self._failed:
            self._failures = 0
        try:
            disk, written = self._written(plan)
        except KeyboardInterrupt:
            self._report_failure(plan, "stopped at the console; the disk may be half written")
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the server hears of it
            self._report_failure(plan, failure(error))
            self._pause_after_failure()
            return None
        self._report_done(disk, written)
        return Ending.REBOOT

    def _written(self, plan: FlashPlan) -> tuple[Disk, Written]:
        self._console.say(f"to flash: {plan.name}")
        self._console.say(f"onto the disk with the serial {plan.serial}")
        disk = find(self._hands.probe(), plan.serial)
        check_writable(disk)
        order = self._order(plan)
        self._console.mark("bty: auto-flash starting")
        written = self._hands.flashing.write(order, disk, plan.options.wipe)
        self._console.say(f"flashed {disk.about}: {written.sentence}")
        return disk, written

    def _order(self, plan: FlashPlan) -> Order:
        """A registry that is away for a moment is no failure of a flash."""

        def attempt() -> Order:
            try:
                return self._hands.order(plan)
            except UnavailableError as error:
                raise AwayError(error.message) from error

        return insist(attempt, A_WHILE, self._waiting, random.random)

    def _report_done(self, disk: Disk, written: Written) -> None:
        """First of all; a report that is lost means that the disk is written once more."""
        waiting = self._waiting

        def wait(seconds: float, why: str) -> None:
            leads_to = "to reboot without telling the server"
            waiting.or_key(
                seconds, f"The flash is done and not yet told: {why}.", leads_to=leads_to
            )

        try:
            told = self._server.report_done(written.extras, wait=wait)
        except KeyPressedError:
            told = Told.AWAY
        if told is not Told.TAKEN:
            self._console.say(f"the flash is done, but that was not taken: {told.value}")
        self._hands.after_flash(disk)
        self._console.mark("bty: flash complete; rebooting")

    def _report_failure(self, plan: FlashPlan, reason: str) -> None:
        self._failed = plan
        self._failures += 1
        self._console.say(f"FAILED: {reason}")
        told = self._server.report_failed(reason)
        if told is not Told.TAKEN:
            self._console.say(f"the server does not know that: {told.value}")

    def _pause_after_failure(self) -> None:
        seconds = min(FIRST_PAUSE * 2 ** (self._failures - 1), LONGEST_PAUSE)
        self._waiting.or_key(seconds, "After this failure, the server is asked again.")

    # -- a person ------------------------------------------------------------------------------

    def _wizard(self, catalog: str | None, why: str) -> Ending | None:
        if why:
            self._console.say(f"{why}: a person has to choose")
        try:
            ending = self._hands.wizard(catalog or self._server.catalog_url, self._look)
        except PlanChangedError:
            self._console.say("the server has something to do now")
            return None
        if ending is Ending.QUIT and self._stays:
            try:
                self._waiting.or_key(IDLE_SECONDS, "The server is asked again.")
            except KeyPressedError:
                return self._wizard(catalog, "")
            return None
        return ending

    def _look(self) -> None:
        """Nobody is at the wizard: does the server want anything else by now?"""
        try:
            plan = self._server.plan(patience=ONCE)
        except AwayError:
            return
        if not isinstance(plan, InteractivePlan):
            raise PlanChangedError


class Lshw:
    """lshw, which takes its time, in a thread of its own."""

    def __init__(self, read: Callable[[], object]) -> None:
        self._read = read
        self._tree: object = None
        self._thread = threading.Thread(target=self._run, name="lshw", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wait(self, seconds: float) -> object:
        """What it found, when it is done by then."""
        self._thread.join(seconds)
        return self._tree

    def _run(self) -> None:
        self._tree = self._read()

"""The screens one after the other: catalog, image, disk, confirmation, progress, result."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from bty_app.errors import BtyError, CancelledError, FlashRefusedError
from bty_app.flasher.describe import disk_row, erased, written
from bty_app.flasher.disks import Disk, check_writable
from bty_app.flasher.flashing import Flashing, failure
from bty_app.flasher.order import Order
from bty_app.flasher.orders import Wanted
from bty_app.flasher.reasons import is_untouched
from bty_app.flasher.run import Ending
from bty_app.flasher.wizard.dialog import BackError, Dialog, QuitError
from bty_app.flasher.wizard.images import Choice, of_catalog, of_this_machine

UNTOUCHED = "no disk was written"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What the wizard works with. `report` hears how a flash ended: None is well. One that ended
    before the first byte was none, and is not told.
    """

    load: Callable[[str], bytes]
    order: Callable[[Wanted], Order]
    probe: Callable[[], list[Disk]]
    flashing: Flashing
    report: Callable[[str | None], None]
    after_flash: Callable[[Disk], None]
    files: Callable[[], list[Choice]] = of_this_machine


class Wizard:
    """One person, from a catalog to a flashed disk; afterwards to the next one, or out."""

    def __init__(self, dialog: Dialog, tools: Tools, *, usual_catalog: str) -> None:
        self._dialog = dialog
        self._tools = tools
        self._usual = usual_catalog
        self._state = UNTOUCHED

    def run(self, catalog: str | None = None) -> Ending:
        """Until the person wants a reboot, or leaves; begins at `catalog` where it is given."""
        try:
            return self._screens(catalog)
        except QuitError:
            self._dialog.say(f"left the wizard; {self._state}")
            return Ending.QUIT
        except KeyboardInterrupt:
            self._dialog.console.clear()
            self._dialog.say("")
            self._dialog.say(f"stopped; {self._state}")
            return Ending.QUIT

    def _screens(self, source: str | None) -> Ending:
        choices = self._loaded(source) if source else None
        while True:
            if choices is None:
                choices = self._catalog_screen()
            try:
                choice = self._image_screen(choices)
            except BackError:
                choices = None
                continue
            ending = self._from_disk_on(choice)
            if ending is not None:
                return ending

    def _from_disk_on(self, choice: Choice) -> Ending | None:
        """None leads back to the images."""
        while True:
            try:
                disk = self._disk_screen(choice)
            except BackError:
                return None
            order = self._order(choice)
            if order is None:
                return None
            if self._confirmed(choice, order, disk) and self._flash(order, disk):
                return self._result(disk)

    # -- screens -------------------------------------------------------------------------------

    def _catalog_screen(self) -> list[Choice]:
        dialog = self._dialog
        while True:
            dialog.title("Where are the images?")
            dialog.say(f"  d  the usual catalog: {self._usual}")
            dialog.say("  l  image files of this machine")
            dialog.say("  or type the address or the path of a catalog.toml; q leaves")
            answer = dialog.ask("Catalog:")
            if answer.lower() == "l":
                choices = self._tools.files()
                if choices:
                    return choices
                dialog.say("there is no image file in the usual places of this machine")
            elif answer and answer.lower() not in ("b", "r"):
                source = self._usual if answer.lower() == "d" else answer
                if choices := self._loaded(source) or []:
                    return choices

    def _loaded(self, source: str) -> list[Choice] | None:
        self._dialog.say(f"reading {source}")
        try:
            choices = of_catalog(self._tools.load(source))
        except BtyError as error:
            self._dialog.say(f"that catalog cannot be read: {error.message}")
            return None
        if not choices:
            self._dialog.say("that catalog is empty")
        return choices or None

    def _image_screen(self, choices: list[Choice]) -> Choice:
        rows = [choice.row for choice in choices]
        while True:
            self._dialog.title("Which image?")
            with contextlib.suppress(LookupError):
                return self._dialog.choose(rows, choices, "b other catalog, q leave")

    def _disk_screen(self, choice: Choice) -> Disk:
        dialog = self._dialog
        while True:
            dialog.title(f"Onto which disk: {choice.name}")
            disks = self._tools.probe()
            if not disks:
                dialog.say("this machine has no disk that could be written")
            try:
                disk = dialog.choose(
                    list(map(disk_row, disks)), disks, "r look again, b other image, q leave"
                )
                check_writable(disk)
            except LookupError:
                continue
            except FlashRefusedError as error:
                dialog.say(error.message)
                continue
            return disk

    def _order(self, choice: Choice) -> Order | None:
        try:
            return self._tools.order(choice.wanted)
        except BtyError as error:
            self._dialog.say(f"that image cannot be had: {error.message}")
            return None

    def _confirmed(self, choice: Choice, order: Order, disk: Disk) -> bool:
        dialog = self._dialog
        dialog.title("This will be ERASED")
        for line in erased(disk):
            dialog.say(line)
        dialog.say("and this will be written onto it:")
        for line in written(choice.name, order):
            dialog.say(line)
        if dialog.confirm("Erase the disk and write the image?"):
            return True
        dialog.say(f"not confirmed; {self._state}")
        return False

    # -- the flash -----------------------------------------------------------------------------

    def _flash(self, order: Order, disk: Disk) -> bool:
        dialog = self._dialog
        dialog.title("Writing; ^C stops")
        before = self._state
        self._state = f"{disk.about} may be half written and does not boot: flash it again"
        try:
            done = self._tools.flashing.write(order, disk)
        except FlashRefusedError as error:
            self._state = before
            dialog.say(f"REFUSED: {error.message}")
        except KeyboardInterrupt:  # the second ^C: nobody knows how far it came
            self._tools.report(f"{disk.about}: stopped at the console; it may be half written")
            raise
        except (BtyError, OSError) as error:
            self._failed(error, disk, before)
        else:
            self._state = f"{disk.about} is flashed"
            self._tools.report(None)
            self._tools.after_flash(disk)
            dialog.say(f"done: {done.sentence}")
            return True
        return False

    def _failed(self, error: BtyError | OSError, disk: Disk, before: str) -> None:
        """The sentence says what state the disk is in; a server hears of one that was touched."""
        reason = failure(error)
        self._dialog.say(f"FAILED: {reason}")
        if is_untouched(error):
            self._state = before
            return
        self._state = reason if isinstance(error, CancelledError) else f"{disk.about}: {reason}"
        self._tools.report(reason)

    def _result(self, disk: Disk) -> Ending:
        self._dialog.title("The disk is flashed")
        self._dialog.say(disk.about)
        answer = self._dialog.ask("Enter reboots the machine, n leaves it as it is:")
        if answer.lower() in ("", "y", "yes"):
            return Ending.REBOOT
        raise QuitError

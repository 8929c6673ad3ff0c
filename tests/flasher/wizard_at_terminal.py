"""A program of the tests: the real wizard at a real terminal, with a flash that writes nothing."""

from __future__ import annotations

import sys

from bty_app.domain.jobs import Teller
from bty_app.errors import CancelledError
from bty_app.flasher.console import Console
from bty_app.flasher.flashing import Acts, Flashing
from bty_app.flasher.keys import Keys
from bty_app.flasher.order import FlashStep, Order, Outcome, Source
from bty_app.flasher.wizard.dialog import Dialog
from bty_app.flasher.wizard.wizard import Tools, Wizard
from tests.flasher.fakes import DISK, FakeFlash

CATALOG = b'version = 1\n[[images]]\nname = "a.img"\nsrc = "http://h/a.img"\n'


def slow(_order: Order, _path: str, teller: Teller) -> Outcome:
    """Goes on until it is stopped."""
    while teller.is_wanted():
        teller.tell(FlashStep("writing", 50, 100))
        teller.wait(0.05)
    raise CancelledError("stopped at the console; the disk does not boot: flash it again")


def main() -> None:
    """Run it."""
    console, keys = Console(sys.stderr, renews=sys.stderr.isatty()), Keys()
    fake = FakeFlash()
    flash = slow if "slow" in sys.argv else fake
    tools = Tools(
        load=lambda _source: CATALOG,
        order=lambda wanted: Order((Source("http", wanted.places[0].url),), "img"),
        probe=lambda: [DISK],
        flashing=Flashing(Acts(flash, fake.check), lambda: [DISK], console),
        report=lambda _reason: None,
        after_flash=lambda _disk: None,
    )
    ending = Wizard(Dialog(console, keys.line), tools, usual_catalog="usual").run("usual")
    console.say(f"ending: {ending.value}")


if __name__ == "__main__":
    main()

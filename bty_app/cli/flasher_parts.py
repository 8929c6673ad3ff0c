"""What `flash` and `wizard` are made of on this machine: no state directory, no database.

The flash itself and the wizard are imported when they are used: most machines that boot a live
environment tell what they have and are done, and each of them waits for what is imported before.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bty_app import __version__
from bty_app.config import Config
from bty_app.errors import BtyError
from bty_app.flasher.block_facts import parameter
from bty_app.flasher.clock import ClockSetter
from bty_app.flasher.console import MARK_FILES, Console
from bty_app.flasher.disks import Disk, probe
from bty_app.flasher.flashing import Acts, Check, Flash, Flashing
from bty_app.flasher.keys import Keys
from bty_app.flasher.orders import Orders
from bty_app.flasher.power import reboot
from bty_app.flasher.progress import STATUS_FILE, Output, StatusFile
from bty_app.flasher.terminals import SHOWN_ON
from bty_app.upstream.http import Http
from bty_app.upstream.registry import Login, Registry

if TYPE_CHECKING:
    from bty_app.domain.jobs import Teller
    from bty_app.flasher.order import Order, Outcome
    from bty_app.flasher.wizard.wizard import Wizard

COMMAND_LINE = Path("/proc/cmdline")
EXCHANGES_AT_ONCE = 8
WAIT_SECONDS = 60.0  # for a place among them

_FRONT_TERMINALS = frozenset({"tty1"})
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def _flash_with(http: Http, registry: Registry) -> Flash:
    def write(order: Order, device_path: str, teller: Teller) -> Outcome:
        from bty_app.flasher import flash

        tools = flash.Tools(http=http, registry=registry)
        return flash.flash(order, device_path, teller, tools=tools)

    return write


def _check_with(http: Http, registry: Registry) -> Check:
    def look(order: Order, device_path: str, teller: Teller) -> None:
        from bty_app.flasher import flash

        flash.check(order, device_path, teller, tools=flash.Tools(http=http, registry=registry))

    return look


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the commands find on the machine that they run on; tests have others."""

    probe: Callable[[], list[Disk]] = probe
    check: Callable[[Http, Registry], Check] = _check_with
    flash: Callable[[Http, Registry], Flash] = _flash_with
    keys: Callable[[], Keys] = Keys
    set_clock: Callable[[str], None] = field(default_factory=ClockSetter)
    reboot: Callable[[], None] = reboot
    command_line: Path = COMMAND_LINE
    status: Path = STATUS_FILE
    marks: tuple[Path, ...] = MARK_FILES
    active_consoles: Path = Path("/sys/class/tty/console/active")

    def watched(self) -> tuple[Path, ...]:
        """Where marks go, besides the terminals that we write to anyway."""
        try:
            shown = os.environ.get(SHOWN_ON) or os.ttyname(sys.stderr.fileno())
            ours = {Path(path).name for path in shown.split(":")}
            active = self.active_consoles.read_text().split()
            # tty0 is whichever of the virtual terminals is in front.
            front = _FRONT_TERMINALS if "tty0" in active else frozenset()
            is_console = bool(ours & {"console", *active, *front})
        except (OSError, ValueError):
            is_console = False
        return tuple(path for path in self.marks if path.name != "console" or not is_console)

    def kernel_parameter(self, name: str) -> str | None:
        """What the kernel command line says."""
        try:
            return parameter(self.command_line.read_text("utf-8", "replace"), name)
        except OSError:
            return None


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that a flash needs but what is to be flashed."""

    machine: Machine
    console: Console
    keys: Keys
    http: Http
    registry: Registry
    orders: Orders
    usual_catalog: str

    def flashing(self, *far: Output) -> Flashing:
        """Flashes with progress on the console and in the status file."""
        machine = self.machine
        outputs = [StatusFile(machine.status)]
        tools = (self.http, self.registry)
        return Flashing(
            Acts(machine.flash(*tools), machine.check(*tools)),
            machine.probe,
            self.console,
            outputs=outputs,
            far=far,
        )

    def wizard(
        self,
        flashing: Flashing,
        report: Callable[[str | None], None] = lambda _reason: None,
        idle: Callable[[], None] = lambda: None,
        usual_catalog: str | None = None,
    ) -> Wizard:
        """The wizard; `report` hears how a flash ended, `idle` is called while nobody answers."""
        from bty_app.domain.catalog_toml import MAX_CATALOG_BYTES
        from bty_app.flasher.wizard.dialog import Dialog
        from bty_app.flasher.wizard.wizard import Tools, Wizard
        from bty_app.services import catalog_source

        tools = Tools(
            load=partial(
                catalog_source.load,
                http=self.http,
                registry=self.registry,
                limit=MAX_CATALOG_BYTES,
            ),
            order=self.orders.of,
            probe=self.machine.probe,
            flashing=flashing,
            report=report,
            after_flash=self.after_flash,
        )
        dialog = Dialog(self.console, self.keys.line, idle)
        return Wizard(dialog, tools, usual_catalog=usual_catalog or self.usual_catalog)

    def after_flash(self, disk: Disk) -> None:
        """Register the system with the firmware, if that is wanted; never a failure."""
        from bty_app.flasher import efi

        if not efi.is_wanted():
            return
        try:
            self.console.say(efi.register(disk))
        except BtyError as error:
            self.console.say(f"no boot entry in the firmware: {error.message}")


def parts(config: Config, machine: Machine, *, is_live: bool = False) -> Parts:
    """Those of this machine; who watches a live environment's console is told too."""
    http = Http(agent=f"bty/{__version__}", at_once=EXCHANGES_AT_ONCE, wait_seconds=WAIT_SECONDS)
    known = config.registry
    registry = Registry(
        http,
        logins={login.host: Login(login.user, login.password) for login in known.credentials},
        plain_http=frozenset(known.plain_http),
        arch=_ARCHITECTURES.get(platform.machine(), platform.machine()),
    )
    console = Console(
        sys.stderr, renews=sys.stderr.isatty(), marks=machine.watched() if is_live else ()
    )
    return Parts(
        machine,
        console,
        machine.keys(),
        http,
        registry,
        Orders(http, registry),
        config.upstream.catalog_url,
    )

"""The first process of a live environment, as far as it can be run without a machine."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bty_app.live import recipe

DRIVER = "serinfo:1.0 driver revision:\n"
UART = "0: uart:16550A port:000003F8 irq:4 tx:11 rx:0\n1: uart:unknown port:000002F8 irq:3\n"


def function(name: str) -> str:
    found = re.search(rf"^{name}\(\) {{\n.*?^}}$", recipe.text("init"), re.MULTILINE | re.DOTALL)
    assert found, f"there is no function {name} in init"
    return found[0]


def consoles(root: Path, *, driver: str = "", active: str = "", lines: tuple[str, ...] = ()) -> str:
    """What `find_consoles` finds on a machine whose /proc and /sys are these."""
    tty = root / "sys/class/tty"
    for name in ("console", *lines):
        (tty / name).mkdir(parents=True)
    (tty / "console/active").write_text(f"{active}\n")
    (root / "proc/tty/driver").mkdir(parents=True)
    (root / "proc/tty/driver/serial").write_text(DRIVER + driver)
    script = function("find_consoles").replace("/proc/", f"{root}/proc/")
    script = script.replace("/sys/", f"{root}/sys/")
    busybox = shutil.which("busybox")
    assert busybox, "the program busybox is missing: tests/run installs it"
    command = [busybox, "sh", "-c", f'stty() {{ :; }}\n{script}\nfind_consoles\necho "$consoles"']
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(
    ("lines", "driver", "active", "found"),
    [
        (("tty1",), UART, "tty0 ttyS0", "tty1 ttyS0"),
        # arm64: the kernel may have been told of the lines of other machines alone.
        (("tty1", "ttyAMA0"), "", "tty0", "tty1 ttyAMA0"),
        (("tty1", "ttyAMA0"), "", "tty0 ttyAMA0", "tty1 ttyAMA0"),
        (("hvc0",), "", "hvc0", "hvc0"),
        ((), "", "", "console"),
    ],
    ids=["a PC", "arm64", "arm64, told", "a hypervisor", "nothing"],
)
def test_every_line_that_has_hardware_behind_it_is_a_console(
    lines: tuple[str, ...], driver: str, active: str, found: str, tmp_path: Path
) -> None:
    assert consoles(tmp_path, driver=driver, active=active, lines=lines).split() == found.split()


@pytest.mark.parametrize("name", ["init", "udhcpc", "bty", "media"])
def test_a_script_is_one_that_its_shell_can_read(name: str) -> None:
    busybox = shutil.which("busybox")
    assert busybox, "the program busybox is missing: tests/run installs it"

    subprocess.run([busybox, "sh", "-n"], input=recipe.text(name), text=True, check=True)

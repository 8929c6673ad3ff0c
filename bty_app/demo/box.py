"""A virtual machine that boots from the network, as a box in a rack does."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from bty_app.errors import NotFoundError

QEMU = "qemu-system-x86_64"
PACKAGES = "qemu-system-x86 ipxe-qemu"
HOST = "10.0.2.2"  # where QEMU's own network shows this machine to the guest
MAC = "52:54:00:62:74:79"
SERIAL = "DEMO-0001"
DISK_BYTES = 64 * 2**20
MEMORY_MIB = 512


def check_tools() -> None:
    """Refuse to begin without QEMU.

    Raises:
        NotFoundError: it is missing; the sentence says what to install.
    """
    if shutil.which(QEMU) is None:
        raise NotFoundError(f"the program {QEMU} is missing: apt-get install {PACKAGES}")


class Box:
    """The machine; each `power_on` is one run of it."""

    def __init__(self, disk: Path, port: int) -> None:
        """Its disk is made blank; `port` is that of the server on this machine."""
        self._disk = disk
        self._port = port
        self._running: subprocess.Popen[str] | None = None
        with disk.open("wb") as file:
            file.truncate(DISK_BYTES)

    def power_on(self, heard: Callable[[str], None]) -> None:
        """Run until it switches itself off; `heard` gets each line that it says."""
        bootfile = f"http://{HOST}:{self._port}/pxe-bootstrap.ipxe"
        command = [
            *(QEMU, "-nodefaults", "-accel", _accelerator(), "-m", str(MEMORY_MIB)),
            *("-machine", "pc,graphics=off", "-display", "none", "-vga", "none"),
            *("-serial", "stdio", "-monitor", "none"),
            *("-netdev", f"user,id=lan,bootfile={bootfile}"),
            *("-device", f"virtio-net-pci,netdev=lan,mac={MAC},bootindex=1"),
            *("-drive", f"if=none,id=disk,format=raw,file={self._disk}"),
            *("-device", f"virtio-blk-pci,drive=disk,serial={SERIAL}"),
        ]
        running = self._running = subprocess.Popen(  # noqa: S603 - our own words
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        try:
            for line in running.stdout or ():
                heard(line.rstrip())
            running.wait()
        finally:
            self.power_off()

    def power_off(self) -> None:
        """End it where it stands."""
        running, self._running = self._running, None
        if running is not None:
            with contextlib.suppress(ProcessLookupError):
                running.kill()
            running.wait()


def _accelerator() -> str:
    """KVM only where the processor has it: a /dev/kvm alone may be one that cannot run this."""
    with contextlib.suppress(OSError):
        words = Path("/proc/cpuinfo").read_text("ascii", "replace").split()
        if os.access("/dev/kvm", os.R_OK | os.W_OK) and {"vmx", "svm"} & set(words):
            return "kvm"
    return "tcg"

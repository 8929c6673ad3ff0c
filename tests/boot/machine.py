"""A virtual machine whose firmware boots from the network, watched over its serial line."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.boot.kernel import RigError

QEMU, QEMU_ARM64 = "qemu-system-x86_64", "qemu-system-aarch64"
# Where QEMU's user network shows the guest the loopback of the host.
HOST = "10.0.2.2"

OVMF, AAVMF = Path("/usr/share/OVMF"), Path("/usr/share/AAVMF")
IPXE = Path(sys.prefix) / "ipxe/usr/lib/ipxe"

_TAIL_LINES = 60
_DISKS = {
    "virtio": ("virtio-blk-pci,drive=disk,serial={}",),
    "nvme": ("nvme,drive=disk,serial={}",),
    "sata": ("ich9-ahci,id=ahci", "ide-hd,drive=disk,bus=ahci.0,serial={}"),
}


class Firmware(StrEnum):
    """What a box starts with, and how it comes to iPXE.

    With BIOS the card's own ROM is iPXE. UEFI gets the program of a 2025 iPXE, by TFTP, with a
    script beside it.
    """

    BIOS = "bios"
    UEFI = "uefi"
    UEFI_HTTP = "uefi-http"  # its own HTTP boot alone
    ARM64 = "uefi-arm64"  # another processor as well


@dataclass(frozen=True, slots=True)
class Tap:
    """A network interface of the host that is the other end of a box's cable."""

    name: str


@dataclass(frozen=True, slots=True)
class Box:
    """The machine as it stands in the rack: what does not change when it is switched off.

    `ssh_port`, where it is not 0, is a port of this host's loopback that leads to its port 22.
    """

    mac: str
    disk: Path
    serial: str
    bus: str = "virtio"
    memory_mib: int = 512
    firmware: Firmware = Firmware.BIOS
    ssh_port: int = 0
    card: str = "virtio-net-pci"


_BOARDS = {Firmware.ARM64: ("-machine", "virt", "-cpu", "cortex-a57")}


class Machine:
    """One run of a box, from power-on; a context manager that ends it whatever happens.

    `log` has all that the serial line said. With the port of a server, the box is in a network of
    QEMU's own, whose DHCP answer leads to the server's bootstrap script; else in that of a `Tap`.
    """

    def __init__(self, box: Box, network: int | Tap) -> None:
        self.log = ""
        self._mac = box.mac
        self._process = _start(box, network)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._output, selectors.EVENT_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cut_power()
        self._selector.close()
        os.close(self._output)
        print(f"What {self._mac} said:\n{self._without_kernel_lines()}")

    def wait_for(self, marker: str, seconds: float = 60.0) -> None:
        """Return once the serial line has said `marker` since power-on.

        Raises:
            AssertionError: it did not within `seconds`, or the machine went off before.
        """
        until = time.monotonic() + seconds
        while marker not in self.log:
            if not self._read(until):
                raise AssertionError(self._complaint(f"the machine never said {marker!r}"))

    def wait_for_power_off(self, seconds: float = 30.0) -> None:
        """Return once the machine has switched itself off.

        Raises:
            AssertionError: it did not within `seconds`.
        """
        until = time.monotonic() + seconds
        while self._read(until):
            pass
        try:
            self._process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise AssertionError(self._complaint("the machine did not power off")) from None

    def cut_power(self) -> None:
        """End the machine where it stands, as a power cut does."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()

    @property
    def _output(self) -> int:
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def _read(self, until: float) -> bool:
        """Take in what has been said; False at the deadline or when nothing more will come."""
        left = until - time.monotonic()
        if left <= 0 or not self._selector.select(left):
            return False
        data = os.read(self._output, 65536)
        self.log += data.decode("ascii", "replace")
        return bool(data)

    def _complaint(self, what: str) -> str:
        code = self._process.poll()
        state = "still running" if code is None else f"QEMU ended with {code}"
        tail = "\n".join(self.log.splitlines()[-_TAIL_LINES:])
        return f"{what} ({state}). The end of its serial line:\n{tail}"

    def _without_kernel_lines(self) -> str:
        lines = self.log.replace("\b", "").splitlines()
        return "\n".join(line for line in lines if line.strip() and not line.startswith("[ "))


def _start(box: Box, network: int | Tap) -> subprocess.Popen[bytes]:
    arm64 = box.firmware is Firmware.ARM64
    program, by = (QEMU_ARM64, "tcg") if arm64 else (QEMU, accelerator())
    if shutil.which(program) is None:
        packages = "qemu-system-arm" if arm64 else "qemu-system-x86 and ipxe-qemu"
        raise RigError(f"there is no {program} here: install Debian's {packages}")
    firmware = _bios if box.firmware is Firmware.BIOS else _uefi
    return subprocess.Popen(
        [
            *(program, "-nodefaults", "-accel", by, "-m", str(box.memory_mib)),
            *("-display", "none", "-vga", "none", "-serial", "stdio", "-monitor", "none"),
            *("-netdev", _netdev(box, network)),
            *firmware(box),
            *("-drive", f"if=none,id=disk,format=raw,file={box.disk}"),
            *(word for row in _DISKS[box.bus] for word in ("-device", row.format(box.serial))),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def _netdev(box: Box, network: int | Tap) -> str:
    if isinstance(network, Tap):
        return f"tap,id=lan,ifname={network.name},script=no,downscript=no"
    bootstrap = f"http://{HOST}:{network}/pxe-bootstrap.ipxe"
    if box.firmware is Firmware.BIOS:
        to_ssh = f",hostfwd=tcp:127.0.0.1:{box.ssh_port}-:22" if box.ssh_port else ""
        return f"user,id=lan,bootfile={bootstrap}{to_ssh}"
    return f"user,id=lan,tftp={_tftp(box, bootstrap)},bootfile=snponly.efi"


def _bios(box: Box) -> list[str]:
    return [
        # Without graphics SeaBIOS and iPXE print on the serial line.
        *("-machine", "pc,graphics=off"),
        *("-device", f"{box.card},netdev=lan,mac={box.mac},bootindex=1"),
    ]


def _uefi(box: Box) -> list[str]:
    http = box.firmware is Firmware.UEFI_HTTP
    flash = "if=pflash,format=raw,file="
    return [
        *_BOARDS.get(box.firmware, ("-machine", "q35")),
        *("-drive", f"{flash}{_code(box)[0]},readonly=on"),
        *("-drive", f"{flash}{_variables(box)}"),
        # Each would be tried, and waited for, before the disk.
        *("-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=n"),
        *(("-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=n") if http else ()),
        # Without a ROM it is the firmware's own network boot.
        *("-device", f"virtio-net-pci,netdev=lan,mac={box.mac},romfile=,bootindex=1"),
    ]


def _code(box: Box) -> tuple[Path, Path]:
    """The firmware itself, and what its memory has at first."""
    if box.firmware is Firmware.ARM64:
        return AAVMF / "AAVMF_CODE.fd", AAVMF / "AAVMF_VARS.fd"
    return OVMF / "OVMF_CODE_4M.fd", OVMF / "OVMF_VARS_4M.fd"


def _variables(box: Box) -> Path:
    """The firmware's memory, which a box keeps as it keeps its disk."""
    memory = box.disk.with_suffix(".variables.fd")
    if not memory.exists():
        template = _code(box)[1]
        if not template.is_file():
            raise RigError(f"there is no {template} here: install ovmf and qemu-efi-aarch64")
        shutil.copyfile(template, memory)
    return memory


def _tftp(box: Box, bootstrap: str) -> Path:
    program = IPXE / "snponly.efi"
    if not program.is_file():
        raise RigError(f"there is no {program} here: tests/run unpacks it (ipxe of Debian 13)")
    directory = box.disk.with_suffix(".tftp")
    directory.mkdir(exist_ok=True)
    shutil.copyfile(program, directory / program.name)
    (directory / "autoexec.ipxe").write_text(f"#!ipxe\ndhcp\nchain {bootstrap} || exit 1\n")
    return directory


def accelerator() -> str:
    """How QEMU runs a guest here: KVM needs more than a /dev/kvm, which may be one that cannot."""
    words = Path("/proc/cpuinfo").read_text("ascii", "replace").split()
    usable = os.access("/dev/kvm", os.R_OK | os.W_OK)
    return "kvm" if usable and ("vmx" in words or "svm" in words) else "tcg"

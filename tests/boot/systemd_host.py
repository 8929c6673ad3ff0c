"""A host with systemd and podman in a virtual machine: where the units of a deploy really run.

Its system is Debian's, made by mmdebstrap and kept for the next run. Commands go in and answers
come out over a serial line of its own; its network ends at its card.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import socket
import subprocess
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.boot.kernel import RigError
from tests.boot.machine import QEMU, accelerator

CACHE = Path(__file__).parents[2] / "dist" / "systemd-host"
MEMORY_MIB = 2048
_MEMORY = Path("/dev/shm")  # noqa: S108 - mmdebstrap makes a directory of its own there
_PACKAGES = (
    *("systemd-sysv", "udev", "dbus", "kmod", "iproute2", "nftables", "curl", "passwd"),
    *("podman", "crun", "netavark", "aardvark-dns", "python3", "linux-image-cloud-amd64"),
)
_BOOT_SECONDS = 240.0
_AGENT = """\
[Unit]
Description=Does what the other end of the serial line says
After=multi-user.target
[Service]
ExecStart=/bin/sh -c 'exec sh /root/agent </dev/ttyS1 >/dev/ttyS1 2>&1'
KillMode=process
[Install]
WantedBy=multi-user.target
"""
ADDRESS = "10.0.2.15"
_LAN = f"""\
[Match]
Name=eth0
[Network]
Address={ADDRESS}/24
Gateway=10.0.2.2
"""
# One line, one command. Its output is bytes of any kind, so the end is told by a word of ours.
_LOOP = """\
stty -echo raw
echo '@@ready'
while read -r line; do
  sh -c "$line" 2>&1 </dev/null
done
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command printed, on both streams, and its exit status."""

    status: int
    said: str


def build_disk(disk: Path, files: Mapping[str, Path], trees: Mapping[str, Path]) -> None:
    """Make the disk of a host: its system, `files` and `trees` at their places in it.

    Raises:
        RigError: this machine lacks a tool, or Debian's packages.
    """
    if os.geteuid() != 0:
        raise RigError("a host with systemd takes root: files in its disk have owners")
    system = _system()
    root = disk.with_suffix(".root")
    root.mkdir()
    _run(["tar", "-C", str(root), "-xf", str(system)])
    for place, source in files.items():
        target = root / place.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    for place, tree in trees.items():
        (root / place.lstrip("/")).mkdir(parents=True, exist_ok=True)
        _run(["tar", "-C", str(root / place.lstrip("/")), "--xattrs", "-xf", str(tree)])
    _prepare(root)
    _run(["mke2fs", "-q", "-t", "ext4", "-d", str(root), "-L", "root", str(disk), "6G"])
    shutil.rmtree(root)


def its_python(place: Path) -> Path:
    """A program in `place` that is the Python of that system, for compiling: emulated, most of the
    time of a command would go into compiling its sources.

    Raises:
        RigError: see `build_disk`.
    """
    root = place / "python"
    root.mkdir()
    parts = (
        "./lib*",
        "./usr/lib/*/*.so*",
        "./usr/lib64*",
        "./usr/lib/python3*",
        "./usr/bin/python3*",
    )
    _run(["tar", "-C", str(root), "-xf", str(_system()), "--wildcards", *parts])
    program = place / "its-python"
    program.write_text(f'#!/bin/sh\nexec chroot {root} /usr/bin/python3 "$@"\n')
    program.chmod(0o755)
    return program


def _prepare(root: Path) -> None:
    units = root / "etc/systemd/system"
    wanted = units / "multi-user.target.wants"
    wanted.mkdir(parents=True, exist_ok=True)
    (units / "agent.service").write_text(_AGENT)
    (wanted / "agent.service").symlink_to("../agent.service")
    for noise in ("serial-getty@ttyS0.service", "getty@tty1.service", "apt-daily.timer"):
        (units / noise).symlink_to("/dev/null")
    (root / "root/agent").write_text(_LOOP)
    (root / "etc/hostname").write_text("rack\n")
    network = units.parent / "network"
    network.mkdir(exist_ok=True)
    (network / "lan.network").write_text(_LAN)
    (wanted / "systemd-networkd.service").symlink_to("/lib/systemd/system/systemd-networkd.service")


def _system() -> Path:
    """The tar of the system, made once."""
    made = CACHE / f"system-{zlib.crc32(' '.join(_PACKAGES).encode()):08x}.tar"
    if made.is_file():
        return made
    if shutil.which("mmdebstrap") is None:
        raise RigError("there is no mmdebstrap here: tests/run installs it")
    CACHE.mkdir(parents=True, exist_ok=True)
    partial = CACHE / "system.partial"
    options = ["--quiet", "--variant=minbase", "--dpkgopt=force-unsafe-io", "--format=tar"]
    options += ["--aptopt=Acquire::Languages none", f"--include={','.join(_PACKAGES)}"]
    memory = {"TMPDIR": str(_MEMORY)} if _MEMORY.is_dir() else {}
    _run(["mmdebstrap", *options, "trixie", str(partial)], **memory)
    partial.rename(made)
    return made


def _run(command: Sequence[str], **told: str) -> None:
    done = subprocess.run(
        command,
        env={**os.environ, **told},
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    if done.returncode:
        raise RigError(f"`{' '.join(command)}` failed:\n{done.stderr[-3000:]}")


class SystemdHost:
    """One run of it, from power-on; a context manager that ends it whatever happens."""

    def __init__(self, disk: Path) -> None:
        self._disk = disk
        self._line = disk.with_suffix(".line")
        self._console = disk.with_suffix(".console")
        self._talk = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._process = self._start()
        self._buffer = b""

    def __enter__(self) -> Self:
        try:
            self._boot(time.monotonic() + _BOOT_SECONDS)
        except BaseException:
            self.cut_power()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cut_power()
        self._talk.close()

    def run(self, *words: str, seconds: float = 300.0) -> Answer:
        """Run a command there.

        Raises:
            AssertionError: it did not end in time.
        """
        return self.sh(shlex.join(words), seconds=seconds)

    def sh(self, line: str, *, seconds: float = 300.0) -> Answer:
        """Run a line of shell there."""
        assert "\n" not in line, "one line, one command"
        told = f'({line}); echo "@@$?@@"'
        self._talk.sendall(told.encode() + b"\n")
        said = self._read_until(b"@@\n", time.monotonic() + seconds).decode("utf-8", "replace")
        output, _, status = said.replace("\r", "").removesuffix("@@\n").rpartition("@@")
        return Answer(int(status), output.strip("\n"))

    def power_off(self) -> None:
        """Switch it off as an operator does, and wait."""
        self._talk.sendall(b"systemctl poweroff\n")
        self._process.wait(90)

    def cut_power(self) -> None:
        """End it where it stands."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()

    def _boot(self, until: float) -> None:
        while True:
            try:
                self._talk.connect(str(self._line))
                break
            except OSError as error:
                self._give_up_at(until, f"its serial line cannot be reached: {error}")
                time.sleep(0.05)
        self._read_until(b"@@ready", until)

    def _start(self) -> subprocess.Popen[bytes]:
        if shutil.which(QEMU) is None:
            raise RigError(f"there is no {QEMU} here: install Debian's qemu-system-x86")
        kernel, initrd = _boot_files()
        self._line.unlink(missing_ok=True)
        words = "root=/dev/vda rw console=ttyS0 quiet panic=-1 systemd.show_status=0 net.ifnames=0"
        return subprocess.Popen(
            [
                # One processor: emulated, a kernel that patches itself under another one may crash.
                *(QEMU, "-nodefaults", "-accel", accelerator(), "-m", str(MEMORY_MIB)),
                *("-display", "none", "-monitor", "none", "-no-reboot"),
                *("-serial", f"file:{self._console}"),
                *("-serial", f"unix:{self._line},server=on,wait=off"),
                *("-kernel", str(kernel), "-initrd", str(initrd), "-append", words),
                *("-drive", f"if=virtio,format=raw,cache=unsafe,file={self._disk}"),
                # A card with nothing behind it: the host has an address, and nobody to call.
                *("-netdev", "user,id=lan,restrict=on", "-device", "virtio-net-pci,netdev=lan"),
            ],
            stdin=subprocess.DEVNULL,
        )

    def _read_until(self, mark: bytes, until: float) -> bytes:
        while mark not in self._buffer:
            self._give_up_at(until, f"it never said {mark!r}")
            self._talk.settimeout(max(0.1, min(5.0, until - time.monotonic())))
            with contextlib.suppress(TimeoutError):
                self._buffer += self._talk.recv(65536)
        found, _, self._buffer = self._buffer.partition(mark)
        return found + mark

    def _give_up_at(self, until: float, why: str) -> None:
        code = self._process.poll()
        if code is None and time.monotonic() < until:
            return
        console = self._console.read_text("utf-8", "replace")[-3000:]
        said = self._buffer[-3000:].decode("utf-8", "replace")
        raise AssertionError(f"{why} (QEMU: {code}).\n{said}\nIts console:\n{console}")


def _boot_files() -> tuple[Path, Path]:
    """The kernel of that system, and its initrd."""
    found = [*CACHE.glob("vmlinuz-*"), *CACHE.glob("initrd.img-*")]
    if len(found) < 2:
        names = ["--wildcards", "./boot/vmlinuz-*", "./boot/initrd.img-*"]
        command = ["tar", "-C", str(CACHE), "--strip-components=2", "-xf", str(_system()), *names]
        _run(command)
    return next(CACHE.glob("vmlinuz-*")), next(CACHE.glob("initrd.img-*"))

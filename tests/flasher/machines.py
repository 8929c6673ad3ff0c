"""Machines as their kernels and lsblk described them: captures in tests/data/disks."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from bty_app.flasher.block_devices import System
from bty_app.flasher.disks import Disk, probe

CAPTURES = Path(__file__).parents[1] / "data" / "disks"


class Captured:
    """A captured machine, its /sys and /proc laid out as files below a directory."""

    def __init__(self, directory: Path, name: str) -> None:
        self.directory = directory
        self.capture: dict[str, Any] = json.loads((CAPTURES / f"{name}.json").read_text())
        self.busy: set[str] = set(self.capture.get("busy", ()))
        self.lsblk: str | None = json.dumps(self.capture["lsblk"])
        for path, text in self.capture["sys"].items():
            self.write(f"sys/{path}", text)
        for node in self.capture["blocks"]:
            link = directory / "sys/block" / node.rpartition("/")[2]
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(directory / "sys" / node)
        for path, holder in self.capture.get("holders", ()):
            self.write(f"sys/{path}/holders/{holder}", "")
        for pool in self.capture.get("zpools", ()):
            self.write(f"proc/spl/kstat/zfs/{pool}/io", "")
        for path in ("self/mountinfo", "swaps", "cmdline"):
            self.write(f"proc/{path}", self.capture.get(path, ""))

    def write(self, path: str, text: str) -> None:
        """A file; `base64:` begins what is no text."""
        place = self.directory / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("base64:"):
            place.write_bytes(base64.b64decode(text.removeprefix("base64:")))
        else:
            place.write_text(text)

    def mount(self, numbers: str, place: str, *, fstype: str = "ext4", source: str = "x") -> None:
        """One more mount."""
        table = self.directory / "proc/self/mountinfo"
        row = f"99 1 {numbers} / {place} rw shared:1 - {fstype} {source} rw\n"
        table.write_text(table.read_text() + row)

    @property
    def system(self) -> System:
        """What reads this machine."""
        numbers = {path: tuple(found) for path, found in self.capture.get("numbers", {}).items()}
        return System(
            sys=self.directory / "sys",
            proc=self.directory / "proc",
            lsblk=lambda: self.lsblk,
            is_busy=lambda path: path in self.busy,
            numbers_of=numbers.get,
        )

    def disks(self) -> dict[str, Disk]:
        """Its disks by path."""
        return {disk.path: disk for disk in probe(self.system)}

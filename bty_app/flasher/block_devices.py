"""Reads what the kernel and lsblk say of the disks of this machine. It decides nothing."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from bty_app import logs
from bty_app.errors import FlashError, InvalidInputError
from bty_app.flasher.block_facts import (
    Facts,
    Labels,
    Mount,
    Node,
    is_disk,
    parameter,
    parse_lsblk,
    parse_mountinfo,
    parse_numbers,
    parse_swaps,
)
from bty_app.flasher.in_use import MEDIUM_PARAMETERS

LSBLK = ("lsblk", "--json", "--bytes", "--output-all")
LSBLK_SECONDS = 20.0
SECTOR = 512  # the unit of /sys/block/*/size, whatever the disk's own sectors are

_log = logging.getLogger(__name__)


class System:
    """The block devices of this machine. Any thread may ask."""

    def __init__(
        self,
        *,
        sys: Path = Path("/sys"),
        proc: Path = Path("/proc"),
        lsblk: Callable[[], str | None] | None = None,
        is_busy: Callable[[str], bool] | None = None,
        numbers_of: Callable[[str], tuple[int, int] | None] | None = None,
    ) -> None:
        self._sys = sys
        self._proc = proc
        self._lsblk = lsblk or _run_lsblk
        self._is_busy = is_busy or _is_busy
        self._numbers_of = numbers_of or numbers_of_path

    def facts(self) -> Facts:
        """All of them as they are now.

        Raises:
            FlashError: /sys cannot be read.
        """
        nodes = tuple(self._nodes())
        mounts = parse_mountinfo(self._read(self._proc / "self/mountinfo"))
        swaps = parse_swaps(self._read(self._proc / "swaps"))
        command_line = self._read(self._proc / "cmdline")
        return Facts(
            nodes=nodes,
            labels=self._labels(),
            mounts=mounts,
            swaps=swaps,
            command_line=command_line,
            busy=frozenset(node.name for node in nodes if self._held(node)),
            pools=tuple(path.name for path in self._listed(self._proc / "spl/kstat/zfs")),
            at_path=self._at_path(mounts, swaps, command_line),
        )

    def _nodes(self) -> Iterator[Node]:
        try:
            disks = sorted((self._sys / "block").iterdir())
        except OSError as error:
            raise FlashError(f"the disks of this machine cannot be listed: {error}") from error
        for disk in disks:
            with contextlib.suppress(OSError):  # it was pulled out a moment ago
                yield self._node(disk, "")
            for part in self._listed(disk):
                if (part / "partition").exists():
                    with contextlib.suppress(OSError):
                        yield self._node(part, disk.name)

    def _node(self, place: Path, parent: str) -> Node:
        numbers = parse_numbers((place / "dev").read_text())
        if numbers is None:
            raise FileNotFoundError(place)
        device = place if not parent else place.parent
        queue = device / "queue"
        sequence = self._number(device / "diskseq")
        return Node(
            name=place.name,
            parent=parent,
            at=place.resolve().relative_to(self._sys.resolve()).as_posix(),
            numbers=numbers,
            size_bytes=self._number(place / "size") * SECTOR,
            read_only=self._number(place / "ro") == 1,
            removable=self._number(device / "removable") == 1,
            hidden=self._number(device / "hidden") == 1,
            rotational=self._number(queue / "rotational") == 1,
            logical_sector=self._number(queue / "logical_block_size") or SECTOR,
            physical_sector=self._number(queue / "physical_block_size") or SECTOR,
            discards=self._number(queue / "discard_max_bytes") > 0,
            zeroes=self._number(queue / "write_zeroes_max_bytes") > 0,
            sequence=sequence or None,
            serial=self._serial(place),
            model=self._read(place / "device/model").strip() or None,
            vendor=self._read(place / "device/vendor").strip() or None,
            holders=tuple(holder.name for holder in self._listed(place / "holders")),
            stacked_as=self._stacked_as(place),
        )

    def _serial(self, place: Path) -> str | None:
        """For a system without udev, where lsblk does not know it."""
        for name in ("serial", "device/serial"):
            if text := self._read(place / name).strip(" \n\0"):
                return text
        # Page 0x80 of SCSI's vital product data: four bytes of head.
        with contextlib.suppress(OSError):
            page = (place / "device/vpd_pg80").read_bytes()[4:]
            return page.decode("ascii", "replace").strip(" \n\0") or None
        return None

    def _stacked_as(self, place: Path) -> str:
        if name := self._read(place / "dm/name").strip():
            kind = self._read(place / "dm/uuid").partition("-")[0]
            return f"{kind} {name}".strip()
        if (place / "md").is_dir():
            return "RAID array"
        return "bcache" if (place / "bcache").is_dir() and place.name.startswith("bcache") else ""

    def _labels(self) -> Mapping[str, Labels]:
        text = self._lsblk()
        if text is None:
            return {}
        try:
            return parse_lsblk(text)
        except InvalidInputError as error:
            # Its answer is for people and for the serial; what is in use is known without.
            logs.event(_log, logging.WARNING, "lsblk", error=error.message)
            return {}

    def _held(self, node: Node) -> bool:
        """Only a real disk is opened: a CD drive would take in its tray."""
        return is_disk(node) and self._is_busy(node.path)

    def _at_path(
        self, mounts: tuple[Mount, ...], swaps: tuple[str, ...], command_line: str
    ) -> dict[str, tuple[int, int]]:
        named = {mount.source for mount in mounts} | set(swaps)
        named |= {parameter(command_line, name) or "" for name in MEDIUM_PARAMETERS}
        found = {path: self._numbers_of(path) for path in named if path.startswith("/")}
        return {path: numbers for path, numbers in found.items() if numbers is not None}

    def _number(self, path: Path) -> int:
        text = self._read(path).strip()
        return int(text) if text.isascii() and text.isdigit() else 0

    def _read(self, path: Path) -> str:
        try:
            return path.read_text("utf-8", "replace")
        except OSError:  # this kind of device, or this kernel, has no such file
            return ""

    def _listed(self, path: Path) -> list[Path]:
        try:
            return sorted(path.iterdir())
        except OSError:
            return []


def _run_lsblk() -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - no part of it comes from outside
            LSBLK, check=False, capture_output=True, timeout=LSBLK_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        logs.event(_log, logging.WARNING, "lsblk", error=str(error))
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


def _is_busy(path: str) -> bool:
    """Whether somebody has the device, or a part of it, for himself (open(2), O_EXCL)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        return error.errno == errno.EBUSY
    os.close(descriptor)
    return False


def numbers_of_path(path: str) -> tuple[int, int] | None:
    """The numbers of the block device at `path`, or None: it is none."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    if not stat.S_ISBLK(found.st_mode):
        return None
    return os.major(found.st_rdev), os.minor(found.st_rdev)

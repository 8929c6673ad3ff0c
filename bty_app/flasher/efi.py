"""An entry for the flashed system in the UEFI firmware, only if asked for (CONTRACT 5.5)."""

from __future__ import annotations

import os
import platform
import re
import struct
import subprocess
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bty_app.errors import FlashError
from bty_app.flasher.disks import Disk

VARIABLE = "BTY_REGISTER_UEFI_BOOT"
LABEL = "bty flashed"
EFIVARS = Path("/sys/firmware/efi/efivars")
SECONDS = 30.0

_LOADERS = {"x86_64": "BOOTX64.EFI", "aarch64": "BOOTAA64.EFI"}
_SYSTEM_PARTITION = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
_ENTRY = re.compile(r"^Boot([0-9A-Fa-f]{4})\*? (.*?)(?:\t.*)?$", re.MULTILINE)
_MOST_ENTRIES = 1024

Run = Callable[[Sequence[str]], str]


def is_wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether somebody asked for it."""
    return environment.get(VARIABLE, "").strip().lower() in ("1", "true", "yes", "on")


def register(
    disk: Disk,
    *,
    read: Callable[[str, int], bytes] | None = None,
    run: Run | None = None,
    efivars: Path = EFIVARS,
    machine: str = platform.machine(),
) -> str:
    """Have the firmware boot the disk once, by an entry that replaces ours of before.

    Returns:
        What was done.

    Raises:
        FlashError: it cannot be: no UEFI, no system partition, or efibootmgr fails.
    """
    loader = _LOADERS.get(machine)
    if not efivars.is_dir() or loader is None:
        raise FlashError("this machine was not booted by UEFI")
    run = run or _run
    # The head of a table of 128 entries, and room for one of larger sectors.
    head = (read or _read)(disk.path, 64 * disk.logical_sector)
    partition = system_partition(head, disk.logical_sector)
    if partition is None:
        raise FlashError("the image has no EFI system partition")
    for number in entries(run(("efibootmgr",)), LABEL):
        run(("efibootmgr", "--delete-bootnum", "--bootnum", number))
    place = ("--disk", disk.path, "--part", str(partition))
    what = ("--loader", rf"\EFI\BOOT\{loader}", "--label", LABEL)
    run(("efibootmgr", "--create-only", *place, *what))
    made = entries(run(("efibootmgr",)), LABEL)
    if not made:
        raise FlashError("efibootmgr made no entry")
    run(("efibootmgr", "--bootnext", made[0]))
    return f"the firmware boots the disk next, by its entry {made[0]}"


def system_partition(head: bytes, sector: int) -> int | None:
    """The number of the EFI system partition, by the partition table at the disk's beginning."""
    header = head[sector : sector + 92]
    if header[:8] == b"EFI PART" and len(header) == 92:
        first, count, size = struct.unpack_from("<QII", header, 72)
        return _of_gpt(head, first * sector, min(count, _MOST_ENTRIES), size)
    if head[510:512] == b"\x55\xaa":
        kinds = (head[446 + 16 * number + 4] for number in range(4))
        return next((number for number, kind in enumerate(kinds, 1) if kind == 0xEF), None)
    return None


def entries(text: str, label: str) -> list[str]:
    """The numbers of the entries with this label, in what efibootmgr lists."""
    return [number for number, name in _ENTRY.findall(text) if name.strip() == label]


def _of_gpt(head: bytes, start: int, count: int, size: int) -> int | None:
    if size < 128:
        return None
    for number in range(count):
        kind = head[start + number * size :][:16]
        if kind == _SYSTEM_PARTITION.bytes_le:
            return number + 1
    return None


def _read(path: str, length: int) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(length)
    except OSError as error:
        raise FlashError(f"{path} cannot be read: {error.strerror}") from error


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - a path of /sys and words of ours
            command, check=False, capture_output=True, timeout=SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FlashError(f"efibootmgr: {error}") from error
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise FlashError(f"efibootmgr: {said[-200:] or done.returncode}")
    return done.stdout.decode("utf-8", "replace")

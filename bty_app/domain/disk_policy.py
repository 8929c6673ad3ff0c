"""Which disk a word means: "the only disk" as the serial of a reported disk, or why none is meant.

What is stored and sent is the serial (CONTRACT 3.4): a policy is an operator's shorthand, and is
resolved, and shown, before anything is armed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from bty_app.domain.inventory import parse_disks
from bty_app.domain.machine import Serial
from bty_app.errors import ValidationError

_SIZE = re.compile(r"([0-9]{1,12}(?:[.,][0-9]{1,3})?)\s*([KMGTP]?)(?:i?B)?", re.ASCII)
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "P": 2**50}


class Policy(StrEnum):
    """What is meant instead of a serial."""

    ONLY = "only"
    SMALLEST = "smallest"
    LARGEST = "largest"
    SMALLEST_NVME = "smallest-nvme"
    LARGEST_NVME = "largest-nvme"
    SMALLEST_SATA = "smallest-sata"


@dataclass(frozen=True, slots=True)
class Disk:
    """A reported disk. `size` is as it was reported, `unfit` why it is no target, or empty."""

    path: str
    model: str
    serial: str
    size: str
    tran: str
    removable: bool
    unfit: str

    @property
    def bytes(self) -> int | None:
        """The size in bytes, as exactly as it was reported; None when it cannot be read."""
        found = _SIZE.fullmatch(self.size.strip())
        return round(float(found[1].replace(",", ".")) * _UNITS[found[2]]) if found else None

    @property
    def label(self) -> str:
        """`476.9G Samsung SSD 980 (nvme)`."""
        words = " ".join(part for part in (self.size, self.model) if part) or self.path
        return f"{words} ({self.tran})" if self.tran else words


@dataclass(frozen=True, slots=True)
class Choice:
    """The disk that is meant, or why none is."""

    disk: Disk | None
    why_not: str = ""

    @property
    def serial(self) -> Serial | None:
        """Its serial."""
        return Serial(self.disk.serial) if self.disk else None


def disks_of(known_disks: str | None) -> tuple[Disk, ...] | None:
    """The disks in a stored inventory; None when there is none, or it cannot be read."""
    if known_disks is None:
        return None
    try:
        found = parse_disks(json.loads(known_disks))
    except (ValueError, ValidationError):  # a state file that others have written to
        return None
    serials = [disk["serial"] for disk in found]
    return tuple(_disk(disk, serials) for disk in found)


def resolve(policy: Policy, disks: Sequence[Disk] | None) -> Choice:
    """The one disk that `policy` means. Removable and read-only disks never count.

    Two disks that fit equally well are none: nobody could say which of them will be erased.
    """
    if disks is None:
        return Choice(None, "no inventory of it is here: let it boot in mode Inventory first")
    fixed = [disk for disk in disks if not disk.removable and disk.unfit != _READ_ONLY]
    match policy:
        case Policy.ONLY:
            return _sole(fixed, "fixed disk")
        case Policy.SMALLEST:
            return _extreme(fixed, min, "disk")
        case Policy.LARGEST:
            return _extreme(fixed, max, "disk")
        case Policy.SMALLEST_NVME | Policy.LARGEST_NVME:
            which = min if policy is Policy.SMALLEST_NVME else max
            return _extreme([disk for disk in fixed if disk.tran == "nvme"], which, "NVMe disk")
        case Policy.SMALLEST_SATA:
            found = [disk for disk in fixed if disk.tran in {"sata", "ata"}]
            return _extreme(found, min, "SATA disk")


def with_serial(disks: Sequence[Disk] | None, serial: str | None) -> Disk | None:
    """The reported disk of this serial, or None."""
    return next((disk for disk in disks or () if serial and disk.serial == serial), None)


_READ_ONLY = "it is read-only"


def _sole(disks: Sequence[Disk], what: str) -> Choice:
    if not disks:
        return Choice(None, f"its inventory has no {what}")
    if len(disks) > 1:
        return Choice(None, f"it has {len(disks)} disks: {', '.join(d.label for d in disks[:4])}")
    return _fit(disks[0])


def _extreme(disks: Sequence[Disk], which: Callable[[list[int]], int], what: str) -> Choice:
    sizes = [disk.bytes for disk in disks]
    known = [size for size in sizes if size is not None]
    if not disks:
        return Choice(None, f"its inventory has no {what}")
    if len(known) < len(disks):
        return Choice(None, f"the size of a {what} is not known")
    best = which(known)
    found = [disk for disk in disks if disk.bytes == best]
    if len(found) > 1:
        return Choice(None, f"{len(found)} disks are of the same size: {found[0].size}")
    return _fit(found[0])


def _fit(disk: Disk) -> Choice:
    return Choice(None, f"{disk.label}: {disk.unfit}") if disk.unfit else Choice(disk)


def _disk(fields: dict[str, object], serials: Sequence[object]) -> Disk:
    def text(key: str) -> str:
        return str(fields[key] or "").strip()

    serial = str(fields["serial"] or "")
    unfit = ""
    if not serial.strip():
        unfit = "it has no serial"
    elif fields["readonly"]:
        unfit = _READ_ONLY
    elif serials.count(fields["serial"]) > 1:
        unfit = "another disk has the same serial"
    return Disk(
        path=text("path"),
        model=" ".join(part for part in (text("vendor"), text("model")) if part),
        serial=serial,
        size=text("size"),
        tran=text("tran"),
        removable=bool(fields["removable"]),
        unfit=unfit,
    )

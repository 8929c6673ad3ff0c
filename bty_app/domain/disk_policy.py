"""Which disk a word means: "the only disk" as the serial of a reported disk, or why none is meant.

What is stored and sent is the serial (CONTRACT 3.4): a policy is an operator's shorthand, and is
resolved, and shown, before anything is armed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from bty_app.domain.machine import Serial
from bty_app.domain.reported_disks import Disk


class Policy(StrEnum):
    """What is meant instead of a serial."""

    ONLY = "only"
    SMALLEST = "smallest"
    LARGEST = "largest"
    SMALLEST_NVME = "smallest-nvme"
    LARGEST_NVME = "largest-nvme"
    SMALLEST_SATA = "smallest-sata"


@dataclass(frozen=True, slots=True)
class Choice:
    """The disk that is meant, or why none is."""

    disk: Disk | None
    why_not: str = ""

    @property
    def serial(self) -> Serial | None:
        """Its serial."""
        return Serial(self.disk.serial) if self.disk else None


def resolve(policy: Policy, disks: Sequence[Disk] | None) -> Choice:
    """The one disk that `policy` means. Removable and read-only disks never count.

    Two disks that fit equally well are none: nobody could say which of them will be erased.
    """
    if disks is None:
        return Choice(None, "no inventory of it is here: let it boot in mode Inventory first")
    fixed = [disk for disk in disks if not disk.removable and not disk.readonly]
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

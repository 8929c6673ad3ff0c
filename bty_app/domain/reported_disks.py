"""The disks that a machine has reported, and which of them can be written to."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from bty_app.domain import image_fit
from bty_app.domain.inventory import parse_disks
from bty_app.errors import ValidationError

_SIZE = re.compile(r"([0-9]{1,12}(?:[.,][0-9]{1,3})?)\s*([KMGTP]?)(?:i?B)?", re.ASCII)
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "P": 2**50}
_NO_VENDORS = frozenset({"ata", "nvme"})  # what drivers say where they know none


@dataclass(frozen=True, slots=True)
class Disk:
    """One disk. `reported` is its size as it was reported; `unfit` says why the disk cannot be a
    target, and is empty when it can.
    """

    path: str
    model: str
    serial: str
    reported: str
    tran: str
    removable: bool
    readonly: bool
    unfit: str

    @property
    def bytes(self) -> int | None:
        """The size in bytes, as exactly as it was reported; None when it cannot be read."""
        found = _SIZE.fullmatch(self.reported)
        return round(float(found[1].replace(",", ".")) * _UNITS[found[2]]) if found else None

    @property
    def most_bytes(self) -> int | None:
        """The most bytes that are rounded to the reported size."""
        return image_fit.most_bytes(self.reported)

    @property
    def size(self) -> str:
        """`476.9 GiB`, which is what lsblk means by 476.9G."""
        found = _SIZE.fullmatch(self.reported)
        return f"{found[1]} {found[2]}iB" if found and found[2] else self.reported

    @property
    def label(self) -> str:
        """`476.9 GiB Samsung SSD 980 (nvme)`."""
        words = " ".join(part for part in (self.size, self.model) if part) or self.path
        about = ", ".join(part for part in (self.tran, "removable" * self.removable) if part)
        return f"{words} ({about})" if about else words


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


def with_serial(disks: Sequence[Disk] | None, serial: str | None) -> Disk | None:
    """The disk of this serial, or None."""
    return next((disk for disk in disks or () if serial and disk.serial == serial), None)


def name_of(disks: Sequence[Disk] | None, serial: str) -> str:
    """What to call the target disk: what was reported of it, and its serial."""
    disk = with_serial(disks, serial)
    return f"the {disk.label}, serial {serial}" if disk else f"the disk with serial {serial}"


def _disk(fields: dict[str, object], serials: Sequence[object]) -> Disk:
    def text(key: str) -> str:
        return str(fields[key] or "").strip()

    vendor = text("vendor")
    known = vendor if vendor.lower() not in _NO_VENDORS else ""
    return Disk(
        path=text("path"),
        model=" ".join(part for part in (known, text("model")) if part),
        serial=str(fields["serial"] or ""),
        reported=text("size"),
        tran=text("tran"),
        removable=bool(fields["removable"]),
        readonly=bool(fields["readonly"]),
        unfit=_unfit(fields, serials),
    )


def _unfit(fields: dict[str, object], serials: Sequence[object]) -> str:
    if not str(fields["serial"] or "").strip():
        return "it has no serial"
    if fields["readonly"]:
        return "it is read-only"
    if serials.count(fields["serial"]) > 1:
        return "another disk has the same serial"
    return ""

"""The disks that a machine reported, as choices for its target."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from bty_app.domain.image_fit import most_bytes
from bty_app.domain.inventory import parse_disks
from bty_app.errors import ValidationError

_LSBLK_SIZE = re.compile(r"([0-9]+(?:[.,][0-9]+)?)([KMGTP])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Disk:
    """One disk. `unfit` says why it cannot be a target; empty when it can."""

    path: str
    model: str
    serial: str
    size: str
    bus: str
    unfit: str
    most_bytes: int | None = None

    @property
    def label(self) -> str:
        """`476.9 GiB Samsung SSD 980 (nvme)`."""
        words = " ".join(part for part in (self.size, self.model) if part) or self.path
        return f"{words} ({self.bus})" if self.bus else words


def parsed(known_disks: str | None) -> tuple[Disk, ...]:
    """The disks in a stored inventory; none when there is none, or it cannot be read."""
    if known_disks is None:
        return ()
    try:
        found = parse_disks(json.loads(known_disks))
    except (ValueError, ValidationError):  # a state file that others have written to
        return ()
    serials = [disk["serial"] for disk in found]
    return tuple(_disk(disk, serials) for disk in found)


def with_serial(disks: Sequence[Disk], serial: str | None) -> Disk | None:
    """The disk of this serial, or None."""
    return next((disk for disk in disks if serial and disk.serial == serial), None)


def name_of(disks: Sequence[Disk], serial: str | None) -> str | None:
    """What to call the target disk: what was reported of it, and its serial."""
    if serial is None:
        return None
    disk = with_serial(disks, serial)
    return f"the {disk.label}, serial {serial}" if disk else f"the disk with serial {serial}"


def _disk(fields: dict[str, object], serials: Sequence[object]) -> Disk:
    def text(key: str) -> str:
        return str(fields[key] or "")

    serial = text("serial")
    unfit = ""
    if not serial:
        unfit = "it has no serial"
    elif fields["readonly"]:
        unfit = "it is read-only"
    elif serials.count(serial) > 1:
        unfit = "another disk has the same serial"
    model = text("model")
    if text("vendor") and text("vendor").lower() not in {"ata", "nvme"}:
        model = f"{text('vendor').strip()} {model}".strip()
    bus = ", ".join(
        part for part in (text("tran"), "removable" * bool(fields["removable"])) if part
    )
    return Disk(
        text("path"),
        model.strip(),
        serial,
        _size(text("size")),
        bus,
        unfit,
        most_bytes(text("size")),
    )


def _size(reported: str) -> str:
    """`476.9G` of lsblk means GiB."""
    found = _LSBLK_SIZE.fullmatch(reported.strip())
    return f"{found[1]} {found[2]}iB" if found else reported.strip()

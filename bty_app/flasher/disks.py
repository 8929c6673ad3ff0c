"""The disks of this machine: which there are, which one is meant, and whether it may be written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from bty_app.errors import FlashRaceError, FlashRefusedError
from bty_app.flasher.block_devices import System, numbers_of_path
from bty_app.flasher.block_facts import Facts, Labels, Node, is_disk
from bty_app.flasher.in_use import reasons

__all__ = [
    "Disk",
    "Part",
    "check_unchanged",
    "check_writable",
    "chosen",
    "find",
    "judged",
    "probe",
]

_UNKNOWN = Labels()
_SPACES = re.compile(r"\s+")
_BUSES = (
    ("/usb", "usb"),
    ("/nvme", "nvme"),
    ("/virtio", "virtio"),
    ("/mmc_host", "mmc"),
    ("/ata", "sata"),
    ("/end_device-", "sas"),
    ("/rport-", "fc"),
    ("/session", "iscsi"),
)


@dataclass(frozen=True, slots=True)
class Part:
    """A partition, or the disk itself where a file system has all of it."""

    name: str
    size_bytes: int
    fstype: str | None
    label: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A disk that a system could be written to. `in_use` says why it must not be written."""

    path: str
    size_bytes: int
    serial: str | None = None
    model: str | None = None
    vendor: str | None = None
    tran: str | None = None
    removable: bool = False
    read_only: bool = False
    logical_sector: int = 512
    physical_sector: int = 512
    rotational: bool = False
    device_numbers: tuple[int, int]
    in_use: tuple[str, ...] = ()
    zeroes: bool = False
    discards: bool = False
    sequence: int | None = None
    parts: tuple[Part, ...] = ()

    @property
    def about(self) -> str:
        """Model, serial and path: how a person tells it from others.

        Devices of PCI and virtio give a number as their vendor.
        """
        vendor = self.vendor or ""
        known = vendor.lower() not in ("", "ata", "nvme") and not vendor.startswith("0x")
        maker = f"{vendor} " if known else ""
        serial = f"serial {self.serial}" if self.serial else "no serial"
        return f"{maker}{self.model or 'disk'} ({serial}, {self.path})"


def probe(system: System | None = None) -> list[Disk]:
    """The disks as they are now, in the order of their names.

    Raises:
        FlashError: they cannot be listed.
    """
    return judged((system or System()).facts())


def judged(facts: Facts) -> list[Disk]:
    """Which of all block devices are disks, and what is known of each."""
    return [_disk(facts, node) for node in facts.nodes if is_disk(node)]


def find(disks: Sequence[Disk], serial: str) -> Disk:
    """The one disk with this serial.

    Raises:
        FlashRefusedError: none has it, or several have.
    """
    wanted = _plain(serial)
    found = [disk for disk in disks if disk.serial and _plain(disk.serial) == wanted]
    if not wanted or not found:
        there = (
            ", ".join(disk.serial or f"none ({disk.path})" for disk in disks) or "no disk at all"
        )
        raise FlashRefusedError(
            f"no disk has the serial {serial.strip()!r}; there is: {there[:300]}"
        )
    if len(found) > 1:
        paths = " and ".join(disk.path for disk in found)
        raise FlashRefusedError(
            f"{paths} have the same serial {serial.strip()!r}: which of them is meant cannot be"
            " told (two paths to one disk, or namespaces of one NVMe drive)"
        )
    return found[0]


def chosen(
    disks: Sequence[Disk],
    text: str,
    numbers_of: Callable[[str], tuple[int, int] | None] = numbers_of_path,
) -> Disk:
    """The disk that a person names: by a path (any link to it will do), or by its serial.

    Raises:
        FlashRefusedError: there is none, several, or it is no disk to flash.
    """
    if not text.startswith("/"):
        return find(disks, text)
    numbers = numbers_of(text)
    for disk in disks:
        if disk.path == text or disk.device_numbers == numbers:
            return disk
    there = ", ".join(disk.path for disk in disks) or "none"
    what = "no device" if numbers is None else "a partition, or no disk to flash"
    raise FlashRefusedError(f"{text} is {what}; disks of this machine: {there}")


def check_writable(disk: Disk) -> None:
    """Refuse a disk that must not, or cannot, be written.

    Raises:
        FlashRefusedError: says why.
    """
    if disk.read_only:
        raise FlashRefusedError(f"{disk.about} is read-only")
    if disk.size_bytes <= 0:
        raise FlashRefusedError(f"{disk.about} has no size: there is no medium in it")
    if disk.in_use:
        raise FlashRefusedError(f"{disk.about} is in use: {'; '.join(disk.in_use)}")


def check_unchanged(before: Disk, now: Iterable[Disk]) -> Disk:
    """The same disk as it is now.

    Raises:
        FlashRaceError: it is gone, or another one is in its place.
    """
    found = next((disk for disk in now if disk.path == before.path), None)
    if found is None:
        raise FlashRaceError(f"{before.about} is not there any more")
    for what, old, new in (
        ("serial", before.serial, found.serial),
        ("size", before.size_bytes, found.size_bytes),
        ("device number", before.device_numbers, found.device_numbers),
        ("medium", before.sequence, found.sequence),
    ):
        if old != new:
            raise FlashRaceError(
                f"{before.about} is another disk now: its {what} was {old}, and is {new}"
            )
    return found


def _disk(facts: Facts, node: Node) -> Disk:
    labels = facts.labels.get(node.name, _UNKNOWN)
    return Disk(
        path=node.path,
        size_bytes=node.size_bytes,
        serial=labels.serial or _stripped(node.serial),
        model=labels.model or _stripped(node.model),
        vendor=labels.vendor or _stripped(node.vendor),
        tran=labels.tran or _tran(node),
        removable=node.removable,
        read_only=node.read_only or labels.read_only,
        logical_sector=node.logical_sector,
        physical_sector=node.physical_sector,
        rotational=node.rotational,
        device_numbers=node.numbers,
        in_use=reasons(facts, node),
        zeroes=node.zeroes,
        discards=node.discards,
        sequence=node.sequence,
        parts=tuple(_parts(facts, node)),
    )


def _parts(facts: Facts, disk: Node) -> Iterator[Part]:
    for node in (disk, *(node for node in facts.nodes if node.parent == disk.name)):
        labels = facts.labels.get(node.name, _UNKNOWN)
        if node is not disk or labels.fstype:
            yield Part(node.name, node.size_bytes, labels.fstype, labels.label or labels.partlabel)


def _tran(node: Node) -> str | None:
    """The bus, by the way to the device: older versions of lsblk do not know all of them."""
    return next((tran for mark, tran in _BUSES if mark in f"/{node.at}"), None)


def _stripped(text: str | None) -> str | None:
    return (text or "").strip() or None


def _plain(serial: str) -> str:
    """udev writes an underscore where the disk's own serial has spaces."""
    return _SPACES.sub("_", serial.strip())

"""What a kernel and its tools say of block devices, unjudged; and how their texts are read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bty_app.errors import InvalidInputError

MAX_NODES = 20_000

# Not for an operating system: CD drives, floppies, and where a card has its own firmware.
_NO_DISK = re.compile(r"(?:sr|scd|fd)\d+|mmcblk\d+(?:boot\d+|rpmb)|mtdblock\d+", re.ASCII)
_MADE_UP = "devices/virtual/block/"  # loop, ram, zram, dm, md, nbd, zd, bcache, drbd
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Labels:
    """What lsblk knows of a device: its identity, and what is on it."""

    serial: str | None = None
    model: str | None = None
    vendor: str | None = None
    tran: str | None = None
    fstype: str | None = None
    label: str | None = None
    uuid: str | None = None
    partlabel: str | None = None
    partuuid: str | None = None
    kind: str | None = None
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A block device of /sys. `parent` is the disk of a partition, else empty.

    `at` is its place below /sys; `sequence` is another one each time a medium comes (diskseq);
    `stacked_as` is what a device made of others calls itself (a dm name, "RAID array").
    """

    name: str
    parent: str
    at: str
    numbers: tuple[int, int]
    size_bytes: int
    read_only: bool = False
    removable: bool = False
    hidden: bool = False
    rotational: bool = False
    logical_sector: int = 512
    physical_sector: int = 512
    discards: bool = False
    zeroes: bool = False
    sequence: int | None = None
    serial: str | None = None
    model: str | None = None
    vendor: str | None = None
    holders: tuple[str, ...] = ()
    stacked_as: str = ""

    @property
    def path(self) -> str:
        """Its node in /dev; `!` stands for a slash in names of /sys."""
        return f"/dev/{self.name.replace('!', '/')}"


@dataclass(frozen=True, slots=True)
class Mount:
    """A row of /proc/self/mountinfo. The numbers of a btrfs or zfs are not those of a device."""

    numbers: tuple[int, int]
    place: str
    fstype: str
    source: str


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a decision about disks depends on.

    `busy` names the disks that the kernel gives to nobody alone; `pools` are the zfs pools that
    are imported; `at_path` has the numbers of each path that a mount or a swap names.
    """

    nodes: tuple[Node, ...]
    labels: Mapping[str, Labels] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    swaps: tuple[str, ...] = ()
    command_line: str = ""
    busy: frozenset[str] = frozenset()
    pools: tuple[str, ...] = ()
    at_path: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def is_disk(node: Node) -> bool:
    """Could an operating system live on it? What has no medium in it, or no device, is none."""
    return not (
        node.parent
        or node.hidden
        or node.size_bytes <= 0
        or node.at.startswith(_MADE_UP)
        or _NO_DISK.fullmatch(node.name)
    )


def parse_lsblk(text: str) -> dict[str, Labels]:
    """The labels by kernel name, of `lsblk --json`.

    Versions before 2.33 write flags as "0" and "1", those before 2.37 have one mountpoint.

    Raises:
        InvalidInputError: it is not the JSON of lsblk.
    """
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError("lsblk does not answer in JSON") from error
    if not isinstance(tree, dict) or not isinstance(tree.get("blockdevices"), list):
        raise InvalidInputError("lsblk answers without a list of block devices")
    return {name: _labels(row) for name, row in _rows(tree["blockdevices"])}


def parse_mountinfo(text: str) -> tuple[Mount, ...]:
    """The mounts of /proc/self/mountinfo (proc(5)); lines that make no sense are passed over."""
    found = []
    for line in text.splitlines():
        before, dash, after = line.partition(" - ")
        left, right = before.split(" "), after.split(" ")
        numbers = parse_numbers(left[2]) if len(left) >= 6 else None
        if dash and len(right) >= 2 and numbers is not None:
            found.append(Mount(numbers, _unescaped(left[4]), right[0], _unescaped(right[1])))
    return tuple(found)


def parse_swaps(text: str) -> tuple[str, ...]:
    """What /proc/swaps names: devices, and files."""
    lines = (line.split() for line in text.splitlines()[1:])
    return tuple(_unescaped(words[0]) for words in lines if words)


def parse_numbers(text: str) -> tuple[int, int] | None:
    """`8:0` as (8, 0)."""
    major, colon, minor = text.strip().partition(":")
    if not (colon and major.isascii() and major.isdigit() and minor.isascii() and minor.isdigit()):
        return None
    return int(major), int(minor)


def parameter(command_line: str, name: str) -> str | None:
    """The value of `name=` on a kernel command line; the last one counts, as in the kernel."""
    words = (word.partition("=") for word in command_line.split())
    given = [value.strip('"') for key, equals, value in words if equals and key == name]
    return given[-1] if given else None


def _rows(devices: list[object]) -> Iterator[tuple[str, Mapping[str, object]]]:
    waiting = list(reversed(devices))
    for _ in range(MAX_NODES):
        if not waiting:
            return
        row = waiting.pop()
        if not isinstance(row, dict):
            continue
        name = _text(row, "kname") or _text(row, "name")
        if name:
            yield name, row
        children = row.get("children")
        if isinstance(children, list):
            waiting.extend(reversed(children))


def _labels(row: Mapping[str, object]) -> Labels:
    return Labels(
        serial=_text(row, "serial"),
        model=_text(row, "model"),
        vendor=_text(row, "vendor"),
        tran=_text(row, "tran"),
        fstype=_text(row, "fstype"),
        label=_text(row, "label"),
        uuid=_text(row, "uuid"),
        partlabel=_text(row, "partlabel"),
        partuuid=_text(row, "partuuid"),
        kind=_text(row, "type"),
        read_only=is_set(row.get("ro")),
    )


def is_set(value: object) -> bool:
    """A flag of lsblk: true, 1 or "1"."""
    return value in (True, 1, "1", "true")


def _text(row: Mapping[str, object], key: str) -> str | None:
    value = row.get(key)
    return (value.strip() or None) if isinstance(value, str) else None


def _unescaped(text: str) -> str:
    """A space stands as `\\040` in the files of /proc."""
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), text)

"""Made-up machines: MACs, disks and hardware trees of a real size, and bundles of them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path

LSHW_BYTES = 17 * 1024
_AT = "2026-11-22T19:07:18.570473+00:00"


def mac(number: int) -> str:
    """The MAC of machine `number`, in an order that is not that of the numbers."""
    mixed = number * 0x9E3779B1 & 0xFFFFFFFF
    digits = f"{mixed:08x}"
    return f"52:54:{digits[:2]}:{digits[2:4]}:{digits[4:6]}:{digits[6:]}"


def serial(number: int) -> str:
    """The serial number of the machine's disk."""
    return f"S64ENX0T{number:06d}"


def disks(number: int) -> list[dict[str, object]]:
    """One disk, as lsblk tells it."""
    return [
        {
            "model": "Samsung SSD 980",
            "path": "/dev/nvme0n1",
            "readonly": False,
            "removable": False,
            "serial": serial(number),
            "size": "476.9G",
            "tran": "nvme",
            "vendor": None,
        }
    ]


def lshw(number: int, size: int = LSHW_BYTES) -> dict[str, object]:
    """A hardware tree of about `size` bytes of compact JSON, its own for each machine."""
    dice = random.Random(number)  # noqa: S311 - the same trees at every run
    children: list[dict[str, object]] = []
    tree: dict[str, object] = {
        "id": f"node-{number}",
        "class": "system",
        "claimed": True,
        "product": "PowerEdge R650",
        "serial": f"{dice.getrandbits(40):010x}",
        "children": children,
    }
    length = len(json.dumps(tree, separators=(",", ":")))
    while length < size:
        child = _part(dice, len(children))
        children.append(child)
        length += len(json.dumps(child, separators=(",", ":"))) + 1
    return tree


def write_bundle(directory: Path, machines: Iterable[tuple[int, bool]]) -> int:
    """Write a bundle of machines (number, with a hardware tree or not); its size in bytes."""
    directory.mkdir()
    path = directory / "inventory.json"
    ordered = sorted((mac(number), number, rich) for number, rich in machines)
    with path.open("w", encoding="ascii") as out:
        out.write(
            f'{{"bty_export_version": 3, "exported_at": "{_AT}",'
            ' "exported_by_bty_version": "0.1", "machines": ['
        )
        for place, (address, number, rich) in enumerate(ordered):
            record = {
                "mac": address,
                "known_disks": disks(number) if rich else None,
                "known_disks_at": _AT if rich else None,
                "hw_lshw": lshw(number) if rich else None,
                "hw_lshw_at": _AT if rich else None,
            }
            out.write((",\n" if place else "\n") + json.dumps(record, indent=2))
        out.write("\n]}\n")
    return path.stat().st_size


def _part(dice: random.Random, place: int) -> dict[str, object]:
    return {
        "id": f"pci:{place}",
        "class": dice.choice(["bus", "network", "storage", "memory", "processor"]),
        "claimed": True,
        "handle": f"PCI:0000:{place:02x}:00.0",
        "description": "Ethernet interface",
        "product": f"device {dice.getrandbits(32):08x}",
        "vendor": "Intel Corporation",
        "businfo": f"pci@0000:{place:02x}:00.0",
        "width": 64,
        "clock": 33000000,
        "configuration": {"driver": "ixgbe", "latency": "0", "link": "yes"},
        "capabilities": {"pm": "Power Management", "msi": True, "pciexpress": "PCI Express"},
    }

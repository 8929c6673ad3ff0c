"""A FAT12 file system with one file, the program that UEFI firmware starts from a disk."""

from __future__ import annotations

import struct

_SECTOR = 512
_RESERVED, _FATS, _FAT_SECTORS, _ROOT_ENTRIES = 1, 2, 6, 64
_DIRECTORY, _FILE = 0x10, 0x20
_LAST = 0xFFF


def with_boot_program(name: str, program: bytes, sectors: int) -> bytes:
    """`sectors` of 512 bytes with `program` as `EFI/BOOT/<name>.EFI`, one sector per cluster.

    Microsoft FAT specification 3, 4, 6; as many clusters as make it FAT12.
    """
    clusters = -(-len(program) // _SECTOR)
    first = 4
    chain = [0xFF8, _LAST, _LAST, _LAST, *range(first + 1, first + clusters), _LAST]
    table = _packed(chain).ljust(_FAT_SECTORS * _SECTOR, b"\0")
    root = _entry("EFI", "", _DIRECTORY, 2).ljust(_ROOT_ENTRIES * 32, b"\0")
    efi = _directory(2, 0, _entry("BOOT", "", _DIRECTORY, 3))
    boot = _directory(3, 2, _entry(name, "EFI", _FILE, first, len(program)))
    whole = _first_sector(sectors) + table * _FATS + root + efi + boot + program
    return whole.ljust(sectors * _SECTOR, b"\0")


def _first_sector(sectors: int) -> bytes:
    head = struct.pack(
        "<3s8sHBHBHHBHHHII",
        *(b"\xeb\x3c\x90", b"BTYPROOF", _SECTOR, 1, _RESERVED, _FATS, _ROOT_ENTRIES),
        *(sectors, 0xF8, _FAT_SECTORS, 32, 64, 0, 0),
    )
    label = struct.pack("<BBBI11s8s", 0x80, 0, 0x29, 1, b"PROOF".ljust(11), b"FAT12".ljust(8))
    return (head + label).ljust(_SECTOR - 2, b"\0") + b"\x55\xaa"


def _packed(entries: list[int]) -> bytes:
    """12 bits each."""
    bits = 0
    for place, entry in enumerate(entries):
        bits |= entry << (12 * place)
    return bits.to_bytes(-(-len(entries) * 12 // 8), "little")


def _entry(name: str, extension: str, kind: int, cluster: int, size: int = 0) -> bytes:
    said = f"{name:<8}{extension:<3}".encode("ascii")
    return struct.pack("<11sB8xHHHHI", said, kind, 0, 0, 0x21, cluster, size)


def _directory(own: int, parent: int, entry: bytes) -> bytes:
    dots = _entry(".", "", _DIRECTORY, own) + _entry("..", "", _DIRECTORY, parent)
    return (dots + entry).ljust(_SECTOR, b"\0")

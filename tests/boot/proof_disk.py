"""A disk that proves it was booted: it says so on COM1 and powers the machine off.

Its boot sector does so under BIOS, and a program in its EFI system partition under UEFI, each with
words of its own.
"""

from __future__ import annotations

import struct
from pathlib import Path

from tests.boot import fat

MARKER = "FLASHED-DISK-BIOS-OK"
UEFI_MARKER = "FLASHED-DISK-UEFI-OK"
SECTOR = 512
IMAGE_SIZE = 1 << 20
DISK_SIZE = 16 << 20

# Prints the text behind it on port 0x3f8, then writes SLP_EN to QEMU's PM1a control: 0x604 of its
# machine pc in 16 bits, of q35 in 64 bits.
_CODE = bytes.fromhex(
    "31c08ed8be297cfcac84c0741288c3bafd03eca82074f8baf80388d8eeebe9ba0406b80020eff4ebfd"
)
_EFI_CODE = bytes.fromhex(
    "488d3527000000fcac84c0741488c366bafd03eca82074f766baf80388d8eeebe766ba040666b8002066eff4ebfd"
)
_ESP_START = 64  # sectors; the noise before it is not of a file system
_ESP_SECTORS = 1024
_ESP_TYPE = 0xEF


def boot_sector() -> bytes:
    """A master boot record with the EFI system partition: 512 bytes."""
    program = _CODE + f"\r\n{MARKER}\r\n".encode() + b"\0"
    # The addresses in cylinders are those of a partition that they cannot express.
    far = b"\xfe\xff\xff"
    row = b"\0" + far + bytes([_ESP_TYPE]) + far + struct.pack("<II", _ESP_START, _ESP_SECTORS)
    table = row + bytes(3 * 16)
    return program.ljust(SECTOR - 2 - len(table), b"\0") + table + b"\x55\xaa"


def image() -> bytes:
    """The image to flash: the boot sector, the EFI partition, and around it bytes to read back."""
    filler = b"".join(b"bty proof %06d\n" % line for line in range(IMAGE_SIZE // 16))
    partition = fat.with_boot_program("BOOTX64", _efi_program(), _ESP_SECTORS)
    data = bytearray((boot_sector() + filler)[:IMAGE_SIZE])
    start = _ESP_START * SECTOR
    data[start : start + len(partition)] = partition
    return bytes(data)


def blank(path: Path) -> Path:
    """A disk of zeros, from which no machine boots."""
    with path.open("wb") as disk:
        disk.truncate(DISK_SIZE)
    return path


def flashed(path: Path) -> Path:
    """A disk with the image already on it."""
    blank(path)
    with path.open("r+b") as disk:
        disk.write(image())
    return path


def _efi_program() -> bytes:
    """A PE32+ application of one section (Microsoft PE format 3.3-3.4): 1024 bytes."""
    code = _EFI_CODE + f"\r\n{UEFI_MARKER}\r\n".encode() + b"\0"
    section, page = 512, 4096
    header = struct.pack("<HHIIIHH", 0x8664, 1, 0, 0, 0, 112 + 16 * 8, 0x22)
    optional = struct.pack(
        "<HBBIIIIIQIIHHHHHHIIIIHHQQQQII",
        *(0x20B, 0, 0, section, 0, 0, page, page),
        *(0, page, section, 0, 0, 0, 0, 0, 0, 0, 2 * page, section, 0),
        *(10, 0),  # an EFI application
        *(0, 0, 0, 0, 0, 16),
    )
    rows = struct.pack(
        "<8sIIIIIIHHI", b".text", section, page, section, section, 0, 0, 0, 0, 0x60000020
    )
    start = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x40)
    head = start + b"PE\0\0" + header + optional + bytes(16 * 8) + rows
    return head.ljust(section, b"\0") + code.ljust(section, b"\0")

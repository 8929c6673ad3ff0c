"""A disk that proves it was booted: its boot sector says so on COM1 and powers the machine off."""

from __future__ import annotations

from pathlib import Path

MARKER = "FLASHED-DISK-BIOS-OK"
SECTOR = 512
IMAGE_SIZE = 1 << 20
DISK_SIZE = 16 << 20

# Prints the text behind it on port 0x3f8, then writes SLP_EN to QEMU's PM1a control (0x604).
_CODE = bytes.fromhex(
    "31c08ed8be297cfcac84c0741288c3bafd03eca82074f8baf80388d8eeebe9ba0406b80020eff4ebfd"
)


def boot_sector() -> bytes:
    """A master boot record without partitions: 512 bytes."""
    program = _CODE + f"\r\n{MARKER}\r\n".encode() + b"\0"
    return program.ljust(SECTOR - 2, b"\0") + b"\x55\xaa"


def image() -> bytes:
    """The image to flash: the boot sector, and bytes to the end that read back as they are."""
    filler = b"".join(b"bty proof %06d\n" % line for line in range(IMAGE_SIZE // 16))
    return (boot_sector() + filler)[:IMAGE_SIZE]


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

"""Whether an image can be on this disk at all: asked before anything is written."""

from __future__ import annotations

import struct

from bty_app.errors import FlashIntegrityError, FlashRefusedError
from bty_app.flasher import libzstd, xz_format, zstd_packing
from bty_app.flasher.device import Device
from bty_app.flasher.partition_table import layout

TELLING_TAILS = frozenset({"img.gz", "img.xz", "img.zst"})
TAIL_BYTES = 1024 * 1024  # has the list of 100,000 frames or blocks
_GZIP_TRAILER = 4
_DEFLATE_RATIO = 1032  # at most: two bits for 258 bytes
_QCOW2 = struct.Struct(">4sI16xQ")


def least_size(image_format: str, head: bytes, tail: bytes | None, total: int | None) -> int:
    """How many bytes the image has at least, by the first and the last bytes of its source."""
    match image_format:
        case "img":
            return total or 0
        case "img.gz":  # of the last member, modulo 4 GiB (RFC 1952 2.3.1)
            return int.from_bytes((tail or b"")[-_GZIP_TRAILER:], "little")
        case "img.xz":
            return xz_format.listed_size(tail or b"") or 0
        case "img.zst":
            return max(libzstd.content_size(head) or 0, zstd_packing.listed_size(tail or b""))
        case "qcow2" if len(head) >= _QCOW2.size:
            magic, _version, size = _QCOW2.unpack(head[: _QCOW2.size])
            return int(size) if magic == b"QFI\xfb" else 0
        case _:
            return 0


def check_size(device: Device, least: int) -> None:
    """Refuse an image that is larger than the disk.

    Raises:
        FlashRefusedError: it is.
    """
    if least > device.size:
        raise FlashRefusedError(
            f"the image has {least} bytes by what it says of itself, and {device.path} only"
            f" {device.size}: it does not fit"
        )


def check_gzip_size(device: Device, least: int, total: int | None) -> None:
    """Refuse an image whose file ends in a size that is larger than the disk. That size is a hint:
    of a file that is cut off, the last bytes are any.

    Raises:
        FlashIntegrityError: no file of `total` bytes can hold so much.
        FlashRefusedError: it does not fit, or the file is damaged: nobody knows which.
    """
    if least <= device.size:
        return
    if total is not None and least > total * _DEFLATE_RATIO:
        raise FlashIntegrityError(
            f"the image is no whole gzip file: its last 4 bytes say {least}, and {total} bytes"
            " cannot hold so many: it is cut off, or damaged"
        )
    raise FlashRefusedError(
        f"the last 4 bytes of the image's file say that it has {least} bytes or more, and"
        f" {device.path} has only {device.size}: it does not fit, or the file is cut off"
    )


def check_head(device: Device, head: bytes | memoryview, *, size_known: bool) -> None:
    """Refuse an image whose partition table is for another kind of disk, or a larger one.

    Raises:
        FlashRefusedError: it is.
    """
    found = layout(head, sector=device.sector)
    if found.sector is not None and found.sector != device.sector:
        raise FlashRefusedError(
            f"the partition table of the image is for sectors of {found.sector} bytes,"
            f" and {device.path} has sectors of {device.sector}: no firmware would find it"
        )
    if not size_known and found.needs > device.size:
        raise FlashRefusedError(
            f"the image is for a disk of {found.needs} bytes, and {device.path} has only"
            f" {device.size}"
        )

"""The test's live environment: busybox, kernel modules and one script, as newc cpio."""

from __future__ import annotations

import gzip
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tests.boot.kernel import KernelFiles, RigError

BUSYBOX = Path("/usr/bin/busybox")
MODULES = ("virtio_pci", "virtio_blk", "virtio_net")

_HERE = Path(__file__).parent
_DIRECTORY = stat.S_IFDIR | 0o755
_PROGRAM = stat.S_IFREG | 0o755
_FILE = stat.S_IFREG | 0o644


class Completion(StrEnum):
    """The report that a finished flash ends with: that of newer clients, that of older ones."""

    STATUS = "status"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or directory of a cpio archive."""

    name: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def build(destination: Path, kernel: KernelFiles, completion: Completion) -> Path:
    """Write the initramfs to `destination`: the same bytes for the same inputs.

    Raises:
        RigError: there is no statically linked busybox here.
    """
    archive = newc([*_system(completion), *_modules(kernel)])
    destination.write_bytes(gzip.compress(archive, compresslevel=1, mtime=0))
    return destination


def newc(entries: Iterable[Entry]) -> bytes:
    """A cpio archive in the kernel's format (its buffer-format documentation, "070701")."""
    parts = [
        _record(entry, inode) for inode, entry in enumerate([*entries, Entry("TRAILER!!!", 0)], 1)
    ]
    return b"".join(parts)


def _record(entry: Entry, inode: int) -> bytes:
    name = entry.name.encode("ascii") + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    owner, modified, device = (0, 0), 0, (0, 0)
    fields = (
        *(inode, entry.mode, *owner, links, modified, len(entry.data)),
        *(*device, *entry.device, len(name), 0),
    )
    header = b"070701" + b"".join(b"%08x" % field for field in fields)
    return _padded(header + name) + _padded(entry.data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _system(completion: Completion) -> list[Entry]:
    if not BUSYBOX.is_file():
        raise RigError(f"there is no {BUSYBOX} here: install Debian's busybox-static")
    busybox = BUSYBOX.read_bytes()
    if b"/ld-linux" in busybox:
        raise RigError(f"{BUSYBOX} is not linked statically: install Debian's busybox-static")
    return [
        *(Entry(name, _DIRECTORY) for name in ("bin", "dev", "modules")),
        # The kernel opens /dev/console before /init can mount anything.
        Entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1)),
        Entry("bin/busybox", _PROGRAM, busybox),
        Entry("init", _PROGRAM, (_HERE / "guest_init.sh").read_bytes()),
        Entry("udhcpc.sh", _PROGRAM, (_HERE / "guest_udhcpc.sh").read_bytes()),
        Entry("completion", _FILE, completion.encode()),
    ]


def _modules(kernel: KernelFiles) -> list[Entry]:
    modules = kernel.modules(MODULES)
    order = "".join(f"{module.name}.ko\n" for module in modules)
    return [
        Entry("modules/order", _FILE, order.encode()),
        *(Entry(f"modules/{module.name}.ko", _FILE, module.data) for module in modules),
    ]

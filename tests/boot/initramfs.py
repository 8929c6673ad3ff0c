"""The test's live environment: busybox, kernel modules and one script, as newc cpio."""

from __future__ import annotations

import gzip
from enum import StrEnum
from pathlib import Path

from bty_app.live import cpio
from bty_app.live.cpio import Entry
from tests.boot.kernel import KernelFiles, RigError

BUSYBOX = Path("/usr/bin/busybox")
MODULES = ("virtio_pci", "virtio_blk", "virtio_net")

_HERE = Path(__file__).parent


class Completion(StrEnum):
    """The report that a finished flash ends with: that of newer clients, that of older ones."""

    STATUS = "status"
    DONE = "done"


def build(destination: Path, kernel: KernelFiles, completion: Completion) -> Path:
    """Write the initramfs to `destination`: the same bytes for the same inputs.

    Raises:
        RigError: there is no statically linked busybox here.
    """
    archive = b"".join(cpio.archive([*_system(completion), *_modules(kernel)]))
    destination.write_bytes(gzip.compress(archive, compresslevel=1, mtime=0))
    return destination


def _system(completion: Completion) -> list[Entry]:
    if not BUSYBOX.is_file():
        raise RigError(f"there is no {BUSYBOX} here: install Debian's busybox-static")
    busybox = BUSYBOX.read_bytes()
    if b"/ld-linux" in busybox:
        raise RigError(f"{BUSYBOX} is not linked statically: install Debian's busybox-static")
    return [
        *(Entry(name, cpio.DIRECTORY) for name in ("bin", "dev", "modules")),
        # The kernel opens /dev/console before /init can mount anything.
        Entry("dev/console", cpio.CONSOLE, device=(5, 1)),
        Entry("bin/busybox", cpio.PROGRAM, busybox),
        Entry("init", cpio.PROGRAM, (_HERE / "guest_init.sh").read_bytes()),
        Entry("udhcpc.sh", cpio.PROGRAM, (_HERE / "guest_udhcpc.sh").read_bytes()),
        Entry("completion", cpio.FILE, completion.encode()),
    ]


def _modules(kernel: KernelFiles) -> list[Entry]:
    modules = kernel.modules(MODULES)
    order = "".join(f"{module.name}.ko\n" for module in modules)
    return [
        Entry("modules/order", cpio.FILE, order.encode()),
        *(Entry(f"modules/{module.name}.ko", cpio.FILE, module.data) for module in modules),
    ]

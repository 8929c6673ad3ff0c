"""What the first tutorial boots: a live environment, an image with its catalog, an empty disk.

usage: python3 -m tests.boot.practice DIRECTORY

Nothing but Python is needed to run it, on Debian with apt's lists and busybox-static.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

import bty_app
from tests.boot import initramfs, proof_disk
from tests.boot.initramfs import Completion
from tests.boot.kernel import RigError, kernel
from tests.boot.machine import HOST

IMAGE_PORT = 8001


def prepare(directory: Path) -> None:
    """Write `state/boot/`, `images/` and `disk.img` below `directory`.

    Raises:
        RigError: a tool or the kernel package is missing; the message says which.
    """
    boot, images = directory / "state" / "boot", directory / "images"
    for folder in (boot, images):
        folder.mkdir(parents=True, exist_ok=True)
    stem = f"bty-netboot-pc-x86_64-v{bty_app.__version__}"
    files = kernel()
    shutil.copyfile(files.vmlinuz, boot / f"{stem}.vmlinuz")
    initramfs.build(boot / f"{stem}.initrd", files, Completion.STATUS)
    (boot / f"{stem}.squashfs").write_bytes(b"this live environment is all in its initrd")
    image = proof_disk.image()
    (images / "practice.img").write_bytes(image)
    (images / "catalog.toml").write_text(
        "version = 1\n\n[[images]]\n"
        'name = "practice"\n'
        f'src = "http://{HOST}:{IMAGE_PORT}/practice.img"\n'
        f'sha256 = "{hashlib.sha256(image).hexdigest()}"\n'
        f"size_bytes = {len(image)}\n"
        'format = "img"\n',
        "utf-8",
    )
    proof_disk.blank(directory / "disk.img")


def main() -> int:
    """Run it; the exit status."""
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.stderr.write(f"{__doc__}\n")
        return 2
    try:
        prepare(Path(sys.argv[1]))
    except RigError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{sys.argv[1]} holds state/boot/, images/ and disk.img\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

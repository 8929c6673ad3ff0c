"""The live environment on a stick or a CD: boots without a network boot, by BIOS and by UEFI."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from bty_app.domain.artifacts import live_file
from bty_app.errors import NotFoundError, StorageError
from bty_app.live.build import Built
from bty_app.live.recipe import text

PROGRAMS = {
    "grub-mkrescue": "grub-common",
    "xorriso": "xorriso",
    "mformat": "mtools",
}
PLATFORMS = {
    Path("/usr/lib/grub/i386-pc"): "grub-pc-bin",
    Path("/usr/lib/grub/x86_64-efi"): "grub-efi-amd64-bin",
}


def write_iso(built: Built, path: Path, scratch: Path) -> None:
    """Write a hybrid image to `path`, which can be burnt, or copied onto a stick as it is.

    Raises:
        NotFoundError: a program is missing; the sentence says which package has it.
        StorageError: it cannot be written.
    """
    _check_tools()
    tree = scratch / "iso"
    (tree / "boot" / "grub").mkdir(parents=True)
    for suffix in ("vmlinuz", "initrd"):
        made = built.directory / live_file(built.version, suffix)
        shutil.copyfile(made, tree / "boot" / suffix)
    menu = text("grub.cfg").replace("@VERSION@", built.version)
    (tree / "boot" / "grub" / "grub.cfg").write_text(menu, "ascii")
    command = ["grub-mkrescue", "-o", str(path), str(tree), "--", "-volid", "BTY_LIVE"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode or not path.exists():
        raise StorageError(f"{path}: grub-mkrescue cannot write it: {done.stderr.strip()[-300:]}")


def _check_tools() -> None:
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    missing += [package for place, package in PLATFORMS.items() if not place.is_dir()]
    if missing:
        raise NotFoundError(
            f"an ISO needs programs that are missing: apt-get install {' '.join(missing)}"
        )

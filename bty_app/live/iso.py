"""The live environment on a stick or a CD: boots without a network boot, by BIOS and by UEFI.

On UEFI the loaders are the distribution's own signed ones, and so is the kernel: a machine with
Secure Boot boots the stick as it is. A signed GRUB loads no modules, so the menu asks nothing.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bty_app.domain.artifacts import live_file
from bty_app.errors import NotFoundError, StorageError, UnavailableError
from bty_app.live.build import Built
from bty_app.live.recipe import text

PROGRAMS = {
    "grub-mkrescue": "grub-common",
    "xorriso": "xorriso",
    "mformat": "mtools",
}
BIOS = Path("/usr/lib/grub/i386-pc")
# Unpacked, not installed: a machine that has them installed writes them into its own boot loader.
SIGNED = ("shim-signed:amd64", "grub-efi-amd64-signed:amd64")
# The names that firmware, shim and GRUB look for, and where the packages have the files.
LOADERS = {
    "BOOTX64.EFI": "usr/lib/shim/shimx64.efi.signed",
    "GRUBX64.EFI": "usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed",
}
_EFI_KIB = 8192
_EFI_SYSTEM = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"


def write_iso(built: Built, path: Path, scratch: Path) -> None:
    """Write a hybrid image to `path`, which can be burnt, or copied onto a stick as it is.

    Raises:
        NotFoundError: a program is missing; the sentence says which package has it.
        UnavailableError: the signed loaders cannot be fetched.
        StorageError: it cannot be written.
    """
    _check_tools()
    tree = scratch / "iso"
    (tree / "boot" / "grub").mkdir(parents=True)
    for suffix in ("vmlinuz", "initrd"):
        made = built.directory / live_file(built.version, suffix)
        shutil.copyfile(made, tree / "boot" / suffix)
    # The signed GRUB takes the file system that has this file for its own.
    (tree / ".disk").mkdir()
    (tree / ".disk" / "info").write_text(f"bty live {built.version}\n", "ascii")
    menu = text("grub.cfg").replace("@VERSION@", built.version)
    (tree / "boot" / "grub" / "grub.cfg").write_text(menu, "ascii")
    system = _efi_system(scratch)
    command = [
        *("grub-mkrescue", "-d", str(BIOS), "-o", str(path), str(tree), "-volid", "BTY_LIVE"),
        *("-append_partition", "2", _EFI_SYSTEM, str(system), "-appended_part_as_gpt"),
        *("-eltorito-alt-boot", "-e", "--interval:appended_partition_2:all::", "-no-emul-boot"),
    ]
    done = _ran(command, scratch)
    if done.returncode or not path.exists():
        raise StorageError(f"{path}: grub-mkrescue cannot write it: {_last(done)}")


def _check_tools() -> None:
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    missing += [] if BIOS.is_dir() else ["grub-pc-bin"]
    if missing:
        raise NotFoundError(
            f"an ISO needs programs that are missing: apt-get install {' '.join(missing)}"
        )


def _efi_system(scratch: Path) -> Path:
    """The partition that UEFI boots from."""
    packages = scratch / "signed"
    packages.mkdir()
    done = _ran(["apt-get", "download", "-q", *SIGNED], packages)
    if done.returncode:
        raise UnavailableError(
            f"the signed boot loaders cannot be fetched (apt-get update?): {_last(done)}"
        )
    for package in packages.glob("*.deb"):
        _checked(["dpkg-deb", "-x", str(package), "."], packages)
    image = scratch / "efi.img"
    with image.open("wb") as file:
        file.truncate(_EFI_KIB << 10)
    on_image = ("-i", str(image))
    _checked(["mformat", *on_image, "-N", "0", "::"], scratch)
    _checked(["mmd", *on_image, "::/EFI", "::/EFI/BOOT"], scratch)
    for name, place in LOADERS.items():
        _checked(["mcopy", *on_image, str(packages / place), f"::/EFI/BOOT/{name}"], scratch)
    return image


def _checked(command: Sequence[str], directory: Path) -> None:
    done = _ran(command, directory)
    if done.returncode:
        raise StorageError(f"{command[0]} failed: {_last(done)}")


def _ran(command: Sequence[str], directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        command, cwd=directory, capture_output=True, text=True, check=False
    )


def _last(done: subprocess.CompletedProcess[str]) -> str:
    return done.stderr.strip()[-300:]

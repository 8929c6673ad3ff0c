"""The files that machines boot: the live environment of a version, and iPXE (CONTRACT 9)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

NEEDED = ("vmlinuz", "initrd")

# As Debian's ipxe package names them: BIOS, UEFI on x86-64, UEFI on arm64.
IPXE_FILES = frozenset(
    {
        *("undionly.kpxe", "ipxe.efi", "snponly.efi"),
        *("ipxe-arm64.efi", "snponly-arm64.efi"),
    }
)

_KERNEL = re.compile(
    r"bty-netboot-pc-x86_64-v([0-9A-Za-z][0-9A-Za-z._+-]{0,63})\.vmlinuz", re.ASCII
)


def live_file(version: str, suffix: str) -> str:
    """The name of a file of the live environment: suffix `vmlinuz`, `initrd`, `squashfs`."""
    return f"bty-netboot-pc-x86_64-v{version}.{suffix}"


def live_versions(names: Iterable[str]) -> list[str]:
    """The versions of live environments whose kernel is among the file names, sorted."""
    return sorted(found[1] for name in names if (found := _KERNEL.fullmatch(name)))


def why_not_ready(version: str, found: Sequence[str]) -> str:
    """What an operator has to do so that the live environment of `version` can be booted."""
    others = [other for other in found if other != version]
    if version in found:
        return f"the live environment {version} is not complete in boot/: put its files there"
    if others:
        return (
            f"boot/ has the live environment {others[-1]}, this server boots {version}:"
            " put its files there, or set netboot.live_version"
        )
    return f"no live environment is installed: put that of {version} into boot/"

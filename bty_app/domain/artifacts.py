"""The files that machines boot: the live environment of a version, and iPXE (CONTRACT 9)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

X86_64, ARM64 = "x86_64", "arm64"
ARCHITECTURES = (X86_64, ARM64)
NEEDED = ("vmlinuz", "initrd")

# As Debian's ipxe package names them, and what of a site needs each.
IPXE_USES = {
    "undionly.kpxe": "BIOS",
    "ipxe.efi": "UEFI on x86-64",
    "snponly.efi": "UEFI on x86-64, with the firmware's own network driver",
    "ipxe-arm64.efi": "UEFI on arm64",
    "snponly-arm64.efi": "UEFI on arm64, with the firmware's own network driver",
}
IPXE_FILES = frozenset(IPXE_USES)

VERSION = r"[0-9A-Za-z][0-9A-Za-z._+-]{0,63}"
_LIVE = re.compile(
    rf"bty-netboot-pc-({X86_64}|{ARM64})-v({VERSION})\.(vmlinuz|initrd|squashfs|sha256)", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Found:
    """What the boot directory has for one architecture: versions whose kernel and initrd were put
    into it by hand, and the version in its current set, which may have lost a file. Versions
    `with_squashfs` are booted as the original's are.
    """

    by_hand: tuple[str, ...] = ()
    set_version: str | None = None
    set_is_whole: bool = False
    with_squashfs: frozenset[str] = frozenset()

    @property
    def usable(self) -> tuple[str, ...]:
        """The versions that can be booted, the preferred one last."""
        current = (self.set_version,) if self.set_version and self.set_is_whole else ()
        return (*self.by_hand, *current)


@dataclass(frozen=True, slots=True)
class Live:
    """The live environment that machines boot. `not_ready` says why they cannot, where they
    cannot; `differs` says so when it is of another version than the server. One without a
    squashfs is ours. `arm64` is what machines of arm64 boot, where there is anything for them.
    """

    version: str
    not_ready: str = ""
    differs: str = ""
    has_squashfs: bool = True
    arm64: Live | None = None


def live_file(version: str, suffix: str, arch: str = X86_64) -> str:
    """The name of a file of the live environment: `vmlinuz`, `initrd`, `squashfs`, `sha256`."""
    return f"bty-netboot-pc-{arch}-v{version}.{suffix}"


def is_for(arch: str, name: str) -> bool:
    """Whether the file is one of a live environment for this architecture."""
    return _of(arch, name) is not None


def live_versions(names: Iterable[str], arch: str = X86_64) -> tuple[str, ...]:
    """The versions of live environments of which all that is needed is among the names, sorted."""
    known = {(found[2], found[3]) for name in names if (found := _of(arch, name))}
    versions = {version for version, _suffix in known}
    complete = [v for v in versions if all((v, suffix) in known for suffix in NEEDED)]
    return tuple(sorted(complete, key=version_order))


def squashfs_versions(names: Iterable[str], arch: str = X86_64) -> frozenset[str]:
    """The versions that have a squashfs among the names."""
    return frozenset(_versions(names, arch, "squashfs"))


def manifest_versions(names: Iterable[str], arch: str = X86_64) -> tuple[str, ...]:
    """The versions of which a checksum manifest is among the names, sorted."""
    return tuple(sorted(_versions(names, arch, "sha256"), key=version_order))


def architectures(names: Iterable[str]) -> tuple[str, ...]:
    """The architectures of which a live environment is among the names."""
    listed = tuple(names)
    return tuple(arch for arch in ARCHITECTURES if live_versions(listed, arch))


def version_order(version: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts 0.9 before 0.10; what is no number sorts before what is one."""
    parts = re.split(r"[._+-]", version)
    return tuple((1, int(p), "") if p.isdecimal() and p.isascii() else (0, 0, p) for p in parts)


def for_both(x86_64: Found, arm64: Found, *, configured: str, running: str) -> Live:
    """What machines boot, those of arm64 too where anything is there for them."""
    live = choose_live(x86_64, configured=configured, running=running)
    if not arm64.by_hand and arm64.set_version is None:
        return live
    return replace(live, arm64=choose_live(arm64, configured=configured, running=running))


def choose_live(found: Found, *, configured: str, running: str) -> Live:
    """Which live environment machines boot: the configured one, else that of the current set, else
    that of the running version, else the newest one that was put into the directory by hand.
    """
    version = configured or _preferred(found, running)
    if version not in found.usable:
        return Live(version, not_ready=_why_not(version, found, is_configured=bool(configured)))
    differs = _differs(version, configured=configured, running=running)
    return Live(version, differs=differs, has_squashfs=version in found.with_squashfs)


def _of(arch: str, name: str) -> re.Match[str] | None:
    found = _LIVE.fullmatch(name)
    return found if found and found[1] == arch else None


def _versions(names: Iterable[str], arch: str, suffix: str) -> list[str]:
    matches = (_of(arch, name) for name in names)
    return [found[2] for found in matches if found and found[3] == suffix]


def _preferred(found: Found, running: str) -> str:
    if found.set_is_whole or not found.by_hand:
        return found.set_version or running
    return running if running in found.by_hand else found.by_hand[-1]


def _why_not(version: str, found: Found, *, is_configured: bool) -> str:
    if version == found.set_version:
        return f"the live environment {version} is damaged: fetch the netboot artifacts again"
    if not is_configured:
        return (
            f"no live environment is installed: fetch the netboot artifacts of {version}, or build"
            " them with bty live build --install"
        )
    has = f"boot/ has {found.usable[-1]}" if found.usable else "boot/ has none"
    return (
        f"netboot.live_version asks for the live environment {version}, {has}:"
        " fetch that one, or change netboot.live_version"
    )


def _differs(version: str, *, configured: str, running: str) -> str:
    if version == running:
        return ""
    why = "as netboot.live_version says" if configured else "fetch the netboot artifacts"
    return f"machines boot the live environment {version}, this server is {running}: {why}"


def installed_sentence(version: str, *, again: bool) -> str:
    """That the installation of this version is done; `again`: it was here before."""
    if again:
        return f"the live environment {version} was here already, and is whole"
    return f"the live environment {version} is installed, and machines boot it"

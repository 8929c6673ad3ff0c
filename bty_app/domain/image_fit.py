"""Can this image be flashed onto that disk of that machine, and what speaks against it?"""

from __future__ import annotations

import re

from bty_app.domain.catalog import CatalogEntry

_LSBLK_SIZE = re.compile(r"([0-9]{1,9})(?:[.,]([0-9]))?([BKMGTPE])", re.ASCII)
_POWERS = "BKMGTPE"
# What catalogs say of an image (CONTRACT 8.3), and the other names of the same.
_ALIASES = {"amd64": "x86_64", "aarch64": "arm64", "armhf": "arm", "i686": "i386"}
_KNOWN = {"x86_64", "arm64", "arm", "armv6", "riscv64", "ppc64le", "s390x", "i386"}
# What a processor runs besides its own; of those of arm64, some do.
_RUNS = {"x86_64": {"x86_64", "i386"}, "i386": {"i386"}, "arm64": {"arm64", "arm", "armv6"}}


def most_bytes(lsblk_size: str) -> int | None:
    """The most that a disk can have whose size lsblk rounds to this (`476.9G`); None: no size."""
    found = _LSBLK_SIZE.fullmatch(lsblk_size.strip())
    if found is None:
        return None
    tenths = int(found[1]) * 10 + int(found[2] or 0) + 1
    return int(tenths * 1024 ** _POWERS.index(found[3]) // 10)


def impossible(entry: CatalogEntry, *, disk_bytes: int | None, arch: str | None) -> str:
    """Why it cannot be; empty when it can. What is not known speaks against nothing."""
    # The size of a compressed image is a lower bound of what is written.
    if disk_bytes is not None and entry.size_bytes is not None and entry.size_bytes > disk_bytes:
        return "it is larger than the chosen disk"
    return misfit(entry, arch)


def misfit(entry: CatalogEntry, arch: str | None) -> str:
    """Why a machine of this architecture cannot run it; empty when it may."""
    declared = _ALIASES.get(entry.arch or "", entry.arch)
    if arch in _RUNS and declared in _KNOWN and declared not in _RUNS[arch]:
        return f"it is for {entry.arch}, this machine is {arch}"
    return ""


def doubts(entry: CatalogEntry) -> tuple[str, ...]:
    """What is not known of it that a person would want to know before a disk is erased."""
    found = []
    if not entry.disk_image_sha and not entry.sha_url:
        found.append("it has no digest, so what is written cannot be proven")
    if not entry.format:
        found.append(
            "its format is unknown: the flasher goes by the name in its address, and refuses to"
            " write where that says nothing"
        )
    if entry.gone_at:
        found.append("the catalog that listed it lists it no more")
    return tuple(found)

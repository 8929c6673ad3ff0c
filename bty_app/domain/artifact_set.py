"""A set of netboot artifacts: what its manifest lists, what it is called, what is known of it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bty_app.domain.artifacts import (
    ARM64,
    NEEDED,
    VERSION,
    X86_64,
    architectures,
    is_for,
    live_file,
    live_versions,
)
from bty_app.domain.sha_manifest import listed_files
from bty_app.errors import InvalidInputError

MAX_MANIFEST_BYTES = 64 * 1024
MAX_FILES = 64
MAX_FILE_BYTES = 8 * 2**30  # the original's squashfs has 0.5 GiB
MAX_SET_BYTES = 16 * 2**30

SIGNATURES = (".minisig", ".sig")  # what is put behind the manifest's name

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}", re.ASCII)
_ID = re.compile(rf"({VERSION})-([0-9a-f]{{12}})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a set consists of: the SHA-256 of each file by its name.

    The version is that of its live environment for x86-64, where it has one; `arch` says whose.
    """

    version: str
    digests: Mapping[str, str]
    data: bytes
    arch: str = X86_64

    @property
    def name(self) -> str:
        """The name of the manifest itself."""
        return live_file(self.version, "sha256", self.arch)

    @property
    def set_id(self) -> str:
        """What the set is called: other files are another set."""
        return f"{self.version}-{hashlib.sha256(self.data).hexdigest()[:12]}"


@dataclass(frozen=True, slots=True)
class SetFacts:
    """What is kept beside the files of an installed set. `sizes` are bytes by name."""

    version: str
    source: str
    installed_at: str
    signed_by: str | None
    digests: Mapping[str, str]
    sizes: Mapping[str, int]

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return sum(self.sizes.values())

    @property
    def architectures(self) -> tuple[str, ...]:
        """Of which machines it has a live environment."""
        return architectures(self.digests)

    @property
    def live(self) -> str:
        """Its live environments, in words: `0.92.0 for x86_64, 0.91.0 for arm64`; of x86-64 alone
        the version.
        """
        listed = tuple(self.digests)
        found = {arch: live_versions(listed, arch)[-1] for arch in self.architectures}
        if ARM64 not in found:
            return self.version
        if len(set(found.values())) == 1:
            return f"{next(iter(found.values()))} for {' and '.join(found)}"
        return ", ".join(f"{version} for {arch}" for arch, version in found.items())


def parse_manifest(data: bytes, *, version: str, arch: str = X86_64) -> Manifest:
    """The manifest of the live environment `version` for `arch`: every file, with its digest.

    Raises:
        InvalidInputError: it is no checksum file, lists what cannot be a file of a set, the same
            name twice, or not the kernel and the initrd.
    """
    if not re.fullmatch(VERSION, version, re.ASCII):
        raise InvalidInputError(f"{version[:80]!r} is no version")
    name = live_file(version, "sha256", arch)
    if len(data) > MAX_MANIFEST_BYTES:
        raise InvalidInputError(f"{name} is larger than {MAX_MANIFEST_BYTES // 1024} KiB")
    try:
        listed = listed_files(data)
    except InvalidInputError as error:
        raise InvalidInputError(f"{name}: {error.message}") from error
    digests: dict[str, str] = {}
    for digest, told in listed:
        file = _checked_name(told, name)
        if file in digests:
            raise InvalidInputError(f"{name} lists {file} twice")
        digests[file] = digest
    if len(digests) > MAX_FILES:
        raise InvalidInputError(f"{name} lists more than {MAX_FILES} files")
    if version not in live_versions(digests, arch):
        needed = " and ".join(live_file(version, suffix, arch) for suffix in NEEDED)
        raise InvalidInputError(f"{name} does not list {needed}: what it leaves out is not checked")
    return Manifest(version, digests, data, arch)


def kept_beside(manifests: Sequence[Manifest], current: Mapping[str, str]) -> Mapping[str, str]:
    """What of the `current` set stays beside what is installed: the live environment of an
    architecture that none of the manifests has.
    """
    brought = {name for manifest in manifests for name in manifest.digests}
    if ARM64 not in architectures(brought):
        return {name: digest for name, digest in current.items() if is_for(ARM64, name)}
    if X86_64 in architectures(brought):
        return {}
    of_arm64 = {name for name in current if is_for(ARM64, name)}
    return {name: digest for name, digest in current.items() if name not in of_arm64}


def joined(manifests: Sequence[Manifest], kept: Mapping[str, str]) -> Manifest:
    """One manifest of all of them, and of what is `kept` of the current set.

    Raises:
        InvalidInputError: two of them have different files of one name, or they list too many.
    """
    if len(manifests) == 1 and not kept:
        return manifests[0]
    digests: dict[str, str] = {}
    for manifest in manifests:
        for name, digest in manifest.digests.items():
            if digests.setdefault(name, digest) != digest:
                raise InvalidInputError(f"{manifest.name} lists another {name} than the other one")
    digests = {**kept, **digests}
    if len(digests) > MAX_FILES:
        raise InvalidInputError(f"the set would have more than {MAX_FILES} files")
    arch = architectures(digests)[0]
    version = live_versions(digests, arch)[-1]
    text = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    return Manifest(version, digests, text.encode("ascii"), arch)


def check_complete(manifests: Sequence[Manifest], present: Iterable[str]) -> None:
    """Refuse a set from a directory or an archive that is not just what its manifests list.

    Raises:
        InvalidInputError: a file is missing, or one is there that nobody vouches for.
    """
    more = set(present)
    for manifest in manifests:
        missing = sorted(set(manifest.digests) - set(present))
        if missing:
            raise InvalidInputError(f"{missing[0]} is missing; {manifest.name} lists it")
        known = {manifest.name, *(manifest.name + suffix for suffix in SIGNATURES)}
        more -= set(manifest.digests) | known
    if more:
        names = " or ".join(manifest.name for manifest in manifests)
        raise InvalidInputError(f"{min(more)[:80]} is not listed in {names}")


def is_set_id(text: str) -> bool:
    """Whether a set can be called that."""
    return _ID.fullmatch(text) is not None


def facts_text(facts: SetFacts) -> str:
    """The facts as they are kept."""
    told = {
        "version": facts.version,
        "source": facts.source,
        "installed_at": facts.installed_at,
        "signed_by": facts.signed_by,
        "files": {
            name: {"sha256": digest, "size_bytes": facts.sizes[name]}
            for name, digest in sorted(facts.digests.items())
        },
    }
    return json.dumps(told, indent=2) + "\n"


def parse_facts(text: str) -> SetFacts | None:
    """The facts that were kept; None when they cannot be read."""
    try:
        told = json.loads(text)
        files = told["files"]
        return SetFacts(
            version=str(told["version"]),
            source=str(told["source"]),
            installed_at=str(told["installed_at"]),
            signed_by=None if told["signed_by"] is None else str(told["signed_by"]),
            digests={str(name): str(row["sha256"]) for name, row in files.items()},
            sizes={str(name): int(row["size_bytes"]) for name, row in files.items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _checked_name(file: str | None, manifest: str) -> str:
    if file is None or not _NAME.fullmatch(file) or file == manifest:
        shown = "a digest without a name" if file is None else repr(file[:80])
        raise InvalidInputError(f"{manifest} lists {shown}, which can be no file of a set")
    return file

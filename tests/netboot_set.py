"""A set of netboot artifacts, made for a test."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from bty_app.domain.artifacts import X86_64, live_file
from bty_app.domain.jobs import Step
from bty_app.errors import CancelledError


def made_set(
    version: str, *, size: int = 200_000, salt: str = "", arch: str = X86_64
) -> dict[str, bytes]:
    """The files of a set by name, with their manifest. One for arm64 is as ours: no squashfs."""
    files = {}
    for suffix in ("vmlinuz", "initrd", "squashfs")[: 3 if arch == X86_64 else 2]:
        seed = hashlib.sha256(f"{version} {suffix} {salt}{arch}".encode()).digest()
        files[live_file(version, suffix, arch)] = (seed * (size // 32 + 1))[:size]
    return with_manifest(version, files, arch)


def with_manifest(version: str, files: Mapping[str, bytes], arch: str = X86_64) -> dict[str, bytes]:
    """`files` and a manifest that lists them all."""
    return {**files, live_file(version, "sha256", arch): sums(files)}


def sums(files: Mapping[str, bytes]) -> bytes:
    """As sha256sum writes it."""
    lines = (f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items())
    return "".join(lines).encode()


def put(place: Path, files: Mapping[str, bytes]) -> Path:
    """The files in a directory."""
    place.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (place / name).write_bytes(data)
    return place


def packed(files: Mapping[str, bytes], mode: str = "w:gz", prefix: str = "") -> bytes:
    """The files as a tar archive."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(prefix + name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


class Listener:
    """Whom work tells how far it is. It is wanted until `stop_after` steps were told."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.steps: list[Step] = []
        self.waited = 0.0
        self._stop_after = stop_after

    def tell(self, step: Step) -> None:
        if not self.is_wanted():
            raise CancelledError("it was cancelled")
        self.steps.append(step)

    def is_wanted(self) -> bool:
        return self._stop_after is None or len(self.steps) < self._stop_after

    def wait(self, seconds: float) -> None:
        self.waited += seconds
        if not self.is_wanted():
            raise CancelledError("it was cancelled")

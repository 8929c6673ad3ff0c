"""A Debian kernel for the guest: fetched with apt, unpacked in a cache, installed nowhere."""

from __future__ import annotations

import lzma
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "linux-image-cloud-amd64"
CACHE = Path(__file__).parents[2] / "dist" / "boot-kernel"

_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")


class RigError(RuntimeError):
    """The test rig cannot run on this machine; the message says what it lacks."""


@dataclass(frozen=True, slots=True)
class Module:
    """A kernel module: its name with `_` for `-`, and its uncompressed bytes."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class KernelFiles:
    """An unpacked kernel package."""

    vmlinuz: Path
    modules_dir: Path
    release: str

    def modules(self, names: Iterable[str]) -> list[Module]:
        """The named modules and all that they need, in an order in which they load.

        A name that is no module counts as built in.
        """
        files = {_module_name(path): path for path in sorted(self.modules_dir.rglob("*.ko*"))}
        ordered: dict[str, Module] = {}

        def add(name: str) -> None:
            if name in ordered or name not in files:
                return
            data = _read_module(files[name])
            for needed in _needs(data):
                add(needed)
            ordered[name] = Module(name, data)

        for name in names:
            add(name)
        return list(ordered.values())


def kernel(cache: Path = CACHE) -> KernelFiles:
    """The kernel in `cache`, fetched there if it is not.

    Raises:
        RigError: apt cannot name, download or unpack the package.
    """
    unpacked = cache / "unpacked"
    if not unpacked.is_dir():
        shutil.rmtree(cache, ignore_errors=True)
        cache.mkdir(parents=True)
        partial = cache / "partial"
        _run(["dpkg-deb", "-x", str(_download(cache)), str(partial)])
        partial.rename(unpacked)
    vmlinuz = next(unpacked.glob("boot/vmlinuz-*"))
    release = vmlinuz.name.removeprefix("vmlinuz-")
    # Debian 13 puts the modules under usr/lib.
    modules_dir = next(unpacked.glob(f"**/lib/modules/{release}"))
    return KernelFiles(vmlinuz, modules_dir, release)


def _download(directory: Path) -> Path:
    answer = _run(["apt-cache", "depends", "--important", PACKAGE])
    package = re.search(r"Depends: (linux-image-\S+)", answer)
    if package is None:
        raise RigError(f"apt knows no package {PACKAGE}: run apt-get update as root")
    _run(["apt-get", "-q", "download", package[1]], directory)
    return next(directory.glob("*.deb"))


def _run(command: list[str], directory: Path | None = None) -> str:
    hint = f"the guest's kernel comes from Debian's {PACKAGE} (apt-get update as root helps)"
    try:
        done = subprocess.run(
            command, cwd=directory, check=True, capture_output=True, text=True, timeout=300
        )
    except FileNotFoundError as error:
        raise RigError(f"there is no {command[0]} here: {hint}") from error
    except subprocess.CalledProcessError as error:
        words = " ".join(command)
        raise RigError(f"`{words}` failed: {hint}\n{error.stderr.strip()}") from error
    return done.stdout


def _module_name(path: Path) -> str:
    return path.name.partition(".")[0].replace("-", "_")


def _read_module(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix == ".xz":
        return lzma.decompress(data)
    return data


def _needs(module: bytes) -> list[str]:
    found = _DEPENDS.search(module)
    if found is None or not found[1]:
        return []
    return found[1].decode("ascii").replace("-", "_").split(",")

"""How the images of these tests come to be: as the documents say, on a base made on the spot."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import zlib
from pathlib import Path

from tests.container.lab import Host
from tests.pyz import tools

CONTAINER = tools.ROOT / "container"
# Debian's release that the base in the Containerfiles is of, and its Python.
DEBIAN, PYTHON = "trixie", "3.13"
PACKAGES = "python3,python3-venv,ca-certificates,passwd"
CACHE = tools.ROOT / "dist" / "container-base"
MEMORY = Path("/dev/shm")  # noqa: S108 - mmdebstrap makes a directory of its own there


def arg(containerfile: Path, name: str) -> str:
    """The default of an ARG."""
    found = re.search(rf"^ARG {name}=(\S+)$", containerfile.read_text("utf-8"), re.MULTILINE)
    assert found, f"{containerfile} has no ARG {name}"
    return found[1]


def wheels(directory: Path) -> list[str]:
    """The wheels are here already: the build itself needs no index, and its file does not know."""
    pip = directory / "pip.conf"
    pip.write_text("[global]\nno-index = true\nfind-links = /wheels\n")
    return [f"--volume={directory}/wheels:/wheels:ro", f"--volume={pip}:/etc/pip.conf:ro"]


def import_base(host: Host) -> None:
    """The base under its name: Debian and its Python, since a registry may be out of reach."""
    name = arg(CONTAINER / "Containerfile", "BASE")
    host.run("podman", "import", "--quiet", _base(), name, network=False)


def _base() -> Path:
    """The tar of the base, made once."""
    made = CACHE / f"base-{zlib.crc32(f'{DEBIAN} {PACKAGES}'.encode()):08x}.tar"
    if made.is_file():
        return made
    CACHE.mkdir(parents=True, exist_ok=True)
    partial = CACHE / f"base.{os.getpid()}.partial"
    memory = {"TMPDIR": str(MEMORY)} if MEMORY.is_dir() else {}
    options = ["--quiet", "--variant=apt", "--dpkgopt=force-unsafe-io", "--format=tar"]
    options += ["--aptopt=Acquire::Languages none", f"--include={PACKAGES}"]
    done = subprocess.run(
        ["mmdebstrap", *options, DEBIAN, str(partial)],
        env=dict(os.environ) | memory,
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return partial.rename(made)


def build_pyz(directory: Path) -> None:
    """The single file, as bty.pyz there."""
    built = tools.build(directory / "bty.pyz")
    assert built.returncode == 0, built.stderr


def download_withcache(directory: Path) -> None:
    """The wheels of withcache, for the Python of the base."""
    version = arg(CONTAINER / "withcache/Containerfile", "WITHCACHE_VERSION")
    command = [sys.executable, "-m", "pip", "download", "-q", "--only-binary=:all:"]
    command += ["--python-version", PYTHON, "--dest", str(directory), f"withcache=={version}"]
    for tag in ("manylinux_2_28", "manylinux_2_17", "manylinux2014"):
        command += ["--platform", f"{tag}_{platform.machine()}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=150)
    assert done.returncode == 0, done.stderr[-3000:]


def build(host: Host, name: str, *words: str | Path) -> None:
    """Build an image; packages come over the network of this machine."""
    options = ["--pull=never", "--network=host", "--format", "docker", "-t", f"localhost/{name}"]
    host.run("podman", "build", *options, *words, network=False)

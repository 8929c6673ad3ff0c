"""The two images, built once as the documents say, on a base that is made on the spot."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bty_app import __version__
from tests.container import lab
from tests.container.lab import Host
from tests.pyz import tools

CONTAINER = tools.ROOT / "container"
# Debian's release that the base in the Containerfiles is of, and its Python.
DEBIAN, PYTHON = "trixie", "3.13"
OLD = "0.1.2"  # a release that never was
MEMORY = Path("/dev/shm")  # noqa: S108 - mmdebstrap makes a directory of its own there


def arg(containerfile: Path, name: str) -> str:
    """The default of an ARG."""
    found = re.search(rf"^ARG {name}=(\S+)$", containerfile.read_text("utf-8"), re.MULTILINE)
    assert found, f"{containerfile} has no ARG {name}"
    return found[1]


@pytest.fixture(scope="session")
def bare_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host with podman and without images."""
    with lab.host(tmp_path_factory.mktemp("host")) as host:
        yield host


@pytest.fixture(scope="session")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The single file, and the wheels of withcache."""
    return tmp_path_factory.mktemp("context")


@pytest.fixture(scope="session")
def host(bare_host: Host, context: Path) -> Host:
    """A host with both images."""
    directory = context
    with ThreadPoolExecutor() as pool:
        waiting = [
            pool.submit(_import_base, bare_host, directory / "base.tar"),
            pool.submit(_build_pyz, directory),
            pool.submit(_download_withcache, directory / "wheels"),
        ]
        for task in waiting:
            task.result()
    _build(bare_host, "bty", "-f", CONTAINER / "Containerfile", directory)
    _build(bare_host, "withcache", *wheels(directory), CONTAINER / "withcache")
    return bare_host


def wheels(directory: Path) -> list[str]:
    """The wheels are here already: the build itself needs no index, and its file does not know."""
    pip = directory / "pip.conf"
    pip.write_text("[global]\nno-index = true\nfind-links = /wheels\n")
    return [f"--volume={directory}/wheels:/wheels:ro", f"--volume={pip}:/etc/pip.conf:ro"]


@pytest.fixture(scope="session")
def pyz(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The single file; the host has the images under the names of this release."""
    cache = arg(CONTAINER / "withcache/Containerfile", "WITHCACHE_VERSION")
    host.podman("tag", "localhost/bty", f"localhost/bty:{__version__}")
    host.podman("tag", "localhost/withcache", f"localhost/withcache:{cache}")
    file = tmp_path_factory.mktemp("pyz") / "bty.pyz"
    container = host.podman("create", "localhost/bty")
    host.podman("cp", f"{container}:/usr/local/bin/bty", file)
    host.podman("rm", container)
    return file


@pytest.fixture(scope="session")
def old_pyz(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The single file of another release, whose image is on the host: this tree with a version."""
    tree = tmp_path_factory.mktemp("old")
    for name in ("bty_app", "container"):
        shutil.copytree(tools.ROOT / name, tree / name, symlinks=True)
    for name in ("build_zipapp.py", "pyproject.toml"):
        shutil.copy(tools.ROOT / name, tree / name)
    init = tree / "bty_app/__init__.py"
    init.write_text(init.read_text().replace(__version__, OLD))
    compose = tree / "container/compose.yml"
    compose.write_text(
        compose.read_text().replace("stop_grace_period: 30s", "stop_grace_period: 29s")
    )
    (tree / "dist").mkdir()
    (tree / "dist/wheels").symlink_to(tools.ROOT / "dist/wheels")
    built = subprocess.run(
        [sys.executable, tree / "build_zipapp.py"], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    _build(host, f"bty:{OLD}", "-f", CONTAINER / "Containerfile", tree / "dist")
    return tree / "dist/bty.pyz"


def _import_base(host: Host, tar: Path) -> None:
    """The base under its name: Debian and its Python, since a registry may be out of reach."""
    memory = {"TMPDIR": str(MEMORY)} if MEMORY.is_dir() else {}
    options = ["--quiet", "--variant=apt", "--dpkgopt=force-unsafe-io"]
    options += ["--aptopt=Acquire::Languages none"]
    packages = "--include=python3,python3-venv,ca-certificates,passwd"
    made = subprocess.run(
        ["mmdebstrap", *options, packages, DEBIAN, str(tar)],
        env=dict(os.environ) | memory,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert made.returncode == 0, made.stderr[-3000:]
    name = arg(CONTAINER / "Containerfile", "BASE")
    host.run("podman", "import", "--quiet", tar, name, network=False)
    tar.unlink()


def _build_pyz(directory: Path) -> None:
    built = tools.build(directory / "bty.pyz")
    assert built.returncode == 0, built.stderr


def _download_withcache(directory: Path) -> None:
    version = arg(CONTAINER / "withcache/Containerfile", "WITHCACHE_VERSION")
    command = [sys.executable, "-m", "pip", "download", "-q", "--only-binary=:all:"]
    command += ["--python-version", PYTHON, "--dest", str(directory), f"withcache=={version}"]
    for tag in ("manylinux_2_28", "manylinux_2_17", "manylinux2014"):
        command += ["--platform", f"{tag}_{platform.machine()}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=150)
    assert done.returncode == 0, done.stderr[-3000:]


def _build(host: Host, name: str, *words: str | Path) -> None:
    """Build an image; packages come over the network of this machine."""
    options = ["--pull=never", "--network=host", "--format", "docker", "-t", f"localhost/{name}"]
    host.run("podman", "build", *options, *words, network=False)

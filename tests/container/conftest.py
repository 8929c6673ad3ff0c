"""The two images, built once as the documents say, on a base that is made on the spot."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bty_app import __version__
from tests.container import lab
from tests.container.images import (
    CONTAINER,
    arg,
    build,
    build_pyz,
    download_withcache,
    import_base,
    wheels,
)
from tests.container.lab import Host, programs_path
from tests.pyz import tools

OLD = "0.1.2"  # a release that never was


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
            pool.submit(import_base, bare_host),
            pool.submit(build_pyz, directory),
            pool.submit(download_withcache, directory / "wheels"),
        ]
        for task in waiting:
            task.result()
    build(bare_host, "bty", "-f", CONTAINER / "Containerfile", directory)
    build(bare_host, "withcache", *wheels(directory), CONTAINER / "withcache")
    return bare_host


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
    build(host, f"bty:{OLD}", "-f", CONTAINER / "Containerfile", tree / "dist")
    return tree / "dist/bty.pyz"


@pytest.fixture
def deployed(host: Host, pyz: Path, old_pyz: Path, tmp_path: Path) -> Iterator[Path]:
    """A deployment that the older release made, and runs."""
    directory = tmp_path / "srv"
    words = ("deploy", "--host-addr", host.address, directory)
    host.run(*programs_path(), sys.executable, old_pyz, *words)
    yield directory
    host.clear()

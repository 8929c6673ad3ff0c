"""`bty deploy` and `bty purge` on a host of their own, as one file, with the real programs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bty_app import __version__
from tests.container import lab
from tests.container.conftest import CONTAINER, arg
from tests.container.lab import Host
from tests.container.operator import Client, at

pytestmark = pytest.mark.system


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody at that host, with the single file and a directory to deploy into."""

    host: Host
    pyz: Path
    directory: Path

    def bty(
        self, *words: str | Path, check: bool = True, path: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run the single file there; `path` is its PATH."""
        tools = str(Path(lab.podman_compose()).parent)
        path = path or f"{tools}:{os.environ['PATH']}"
        return self.host.run(sys.executable, self.pyz, *words, check=check, PATH=path)

    def deploy(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`bty deploy` into the directory."""
        return self.bty("deploy", *words, self.directory, check=check)

    def containers(self) -> list[str]:
        """The ids of all containers there, with whether they run."""
        listed = self.host.podman("ps", "--all", "--format", "{{.ID}} {{.State}}")
        return sorted(listed.splitlines())

    def envvars(self) -> dict[str, str]:
        """What stands in `envvars`."""
        text = (self.directory / "envvars").read_text()
        return dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))

    def written(self) -> dict[str, tuple[bytes, int]]:
        """Every file that bty wrote, with its time."""
        files = [path for path in self.directory.iterdir() if path.is_file()]
        return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.fixture(scope="module")
def pyz(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The single file; the host has the images under the names of this release."""
    cache = arg(CONTAINER / "withcache/Containerfile", "WITHCACHE_VERSION")
    host.podman("tag", "localhost/bty", f"localhost/bty:{__version__}")
    host.podman("tag", "localhost/withcache", f"localhost/withcache:{cache}")
    directory = tmp_path_factory.mktemp("pyz")
    container = host.podman("create", "localhost/bty")
    host.podman("cp", f"{container}:/usr/local/bin/bty", directory / "bty.pyz")
    host.podman("rm", container)
    return directory / "bty.pyz"


@pytest.fixture
def operator(host: Host, pyz: Path, tmp_path: Path) -> Iterator[Operator]:
    yield Operator(host, pyz, tmp_path / "srv")
    host.podman("rm", "--all", "--force", "--time", "0")


def test_one_command_brings_up_a_server_that_one_can_log_in_to(operator: Operator) -> None:
    done = operator.deploy("--host-addr", operator.host.address)

    client = at(operator.host, 8080)
    password = (operator.directory / "data/bty/admin-password").read_text().strip()
    steps = re.findall(r"^\[(\d)/(\d)\]", done.stderr, re.MULTILINE)
    said = done.stdout + done.stderr
    assert client.log_in(password)
    assert not Client(client.url).log_in("bty-lab")
    assert done.stdout.splitlines()[0] == client.url
    assert str(operator.directory / "data/bty/admin-password") in done.stdout
    assert steps == [(str(n), "7") for n in range(1, 8)]
    assert password not in said
    assert operator.envvars()["WITHCACHE_ADMIN_PASSWORD"] not in said

"""`bty deploy`, `upgrade` and `purge` by somebody who is not root, with a podman of his own.

His account, his range of user ids and a network device that is open to everybody are bound over
those of this machine in the host alone.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bty_app import __version__
from tests.container import lab
from tests.container.conftest import OLD
from tests.container.images import CONTAINER, arg
from tests.container.lab import Host
from tests.container.operator import at

pytestmark = pytest.mark.system

NAME, UID = "rack", 4242
TOOLS = ("newuidmap", "newgidmap", "slirp4netns")
_BINDS = """
set -e
mkdir -p /run/rootless/user && chmod 0755 /run/rootless && chmod 0700 /run/rootless/user
cp /etc/passwd /etc/group /run/rootless/
echo '{name}:x:{uid}:{uid}::{home}:/bin/sh' >>/run/rootless/passwd
echo '{name}:x:{uid}:' >>/run/rootless/group
echo '{name}:500000:65536' >/run/rootless/range
mknod -m 0666 /run/rootless/tun c 10 200
touch /etc/subuid /etc/subgid
mount --bind /run/rootless/passwd /etc/passwd
mount --bind /run/rootless/group /etc/group
mount --bind /run/rootless/range /etc/subuid
mount --bind /run/rootless/range /etc/subgid
mount --bind /run/rootless/tun /dev/net/tun
mount --make-rshared /
chown -R {uid}:{uid} /run/rootless/user {home}
"""
_UNDO = "umount /etc/passwd /etc/group /etc/subuid /etc/subgid /dev/net/tun; rm -rf /run/rootless"


@dataclass(frozen=True, slots=True)
class Somebody:
    """A user of that host."""

    host: Host
    home: Path

    def runs(self, *command: str | Path, check: bool = True) -> str:
        """Run a command as him; what it said."""
        start = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "env", "-i")
        told = (
            *(f"HOME={self.home}", f"USER={NAME}", "XDG_RUNTIME_DIR=/run/rootless/user"),
            f"PATH={self.home}/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        )
        done = self.host.run(*start, *told, *command, check=check)
        return done.stdout + done.stderr


@pytest.fixture
def somebody(host: Host, pyz: Path, old_pyz: Path, tmp_path: Path) -> Iterator[Somebody]:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    assert not missing, f"missing: {', '.join(missing)}; tests/run installs them"
    for path in (tmp_path, *tmp_path.parents[:3]):
        path.chmod(path.stat().st_mode | 0o011)  # he comes through
    home = tmp_path / "home"
    (home / "bin").mkdir(parents=True)
    for name, file in (("new.pyz", pyz), ("old.pyz", old_pyz)):
        shutil.copy(file, home / name)
    packages = Path(lab.podman_compose()).parents[1] / "lib"
    place = next(packages.glob("python*/site-packages/podman_compose.py")).parent
    for part in ("podman_compose.py", "yaml", "dotenv"):
        found = place / part
        (shutil.copytree if found.is_dir() else shutil.copy)(found, home / "bin" / part)
    compose = home / "bin/podman-compose"
    compose.write_text(f'#!/bin/sh\nexec /usr/bin/python3 {home}/bin/podman_compose.py "$@"\n')
    compose.chmod(0o755)
    cache = arg(CONTAINER / "withcache/Containerfile", "WITHCACHE_VERSION")
    names = [f"bty:{__version__}", f"bty:{OLD}", f"withcache:{cache}"]
    images = [f"localhost/{name}" for name in names]
    host.podman("save", "--quiet", "--multi-image-archive", "--output", home / "images", *images)
    host.run("sh", "-c", _BINDS.format(name=NAME, uid=UID, home=home))
    found_ = Somebody(host, home)
    found_.runs("podman", "load", "--quiet", "--input", home / "images")
    yield found_
    found_.runs("podman", "rm", "--all", "--force", "--time", "0", check=False)
    found_.runs("podman", "unshare", "rm", "-rf", home / ".local", home / "srv", check=False)
    host.run("sh", "-c", _UNDO)


def test_without_root_all_is_the_same(somebody: Somebody) -> None:
    directory = somebody.home / "srv"
    python = ("/usr/bin/python3", somebody.home / "new.pyz")
    host_addr = ("--host-addr", somebody.host.address)

    refused = somebody.runs(*python, "deploy", "--tftp", *host_addr, directory, check=False)
    somebody.runs("/usr/bin/python3", somebody.home / "old.pyz", "deploy", *host_addr, directory)
    kept = directory / "data/bty/admin-password"
    password = somebody.runs("podman", "unshare", "cat", kept).strip()
    logged_in = at(somebody.host, 8080).log_in(password)
    said = somebody.runs(*python, "upgrade", "--watch", "1", directory)
    serves = at(somebody.host, 8080).ask("GET", "/version")["version"]
    at(somebody.host, 8081)
    somebody.runs(*python, "purge", "--all", "--yes", directory)

    assert "ports below 1024 are root's" in refused
    assert logged_in
    assert f"bty {__version__} is ready, in place of {OLD}" in said
    assert serves == __version__
    assert not directory.exists()
    assert somebody.runs("podman", "ps", "--all", "--quiet") == ""

"""A host of its own for podman, made of namespaces: what is done in there ends with it.

It has one process tree, one network with one wire to us, and its own /run, /etc/containers and, in
memory, /var/lib/containers, so that podman works there with its defaults and never meets that of
this machine. When the first process of the tree is killed, the kernel takes all the rest away.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

TOOLS = ("podman", "runc", "iptables", "nsenter", "unshare", "ip", "mount", "mmdebstrap")
# Podman's own helpers, which are not in PATH.
HELPERS = tuple(Path("/usr/lib/podman") / name for name in ("netavark", "aardvark-dns"))

# Limits that also a root without CAP_SYS_RESOURCE may set; no systemd anywhere.
CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=32768:32768"]
http_proxy = false
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
"""
POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}\n'

START = """
set -e
mount --make-rprivate /
mount -t tmpfs none /run
mount -t tmpfs none /dev/shm
mkdir -p /var/lib/containers
mount -t tmpfs none /var/lib/containers
mount --bind "$1" /etc/containers
ip link set lo up
echo ready
exec cat  # until we close the other end, however we end
"""
CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Host:
    """The host: its first process, its address, and ours on the wire between us."""

    process: int
    address: str
    our_address: str

    def run(
        self, *command: str | Path, network: bool = True, check: bool = True, **told: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `command` there with the environment `told`; without `network`, in our network.

        With `check` its failure is the test's.
        """
        enter = ["nsenter", "--target", str(self.process), "--mount", "--pid", "--ipc", "--uts"]
        done = subprocess.run(
            [*enter, *(["--net"] if network else []), *map(str, command)],
            env={"PATH": os.environ["PATH"], "HOME": "/run", "LANG": "C.UTF-8", **told},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        if check:
            said = f"{' '.join(map(str, command))}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
            assert done.returncode == 0, said
        return done

    def podman(self, *words: str | Path) -> str:
        """What podman says there."""
        return self.run("podman", *words).stdout.strip()

    def said(self, container: str) -> str:
        """What the container's program has printed."""
        done = self.run("podman", "logs", container)
        return done.stdout + done.stderr

    def clear(self) -> None:
        """Remove all containers, one by one: two that leave a network at once can break it."""
        for container in self.podman("ps", "--all", "--quiet").split():
            self.podman("rm", "--force", "--time", "0", container)

    def inspect(self, container: str) -> dict[str, object]:
        """All that podman knows of the container."""
        found: dict[str, object] = json.loads(self.podman("container", "inspect", container))[0]
        return found


def need_tools() -> None:
    """Fail the test, and name what is missing; skipping would look like passing."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    missing += [str(path) for path in HELPERS if not path.exists()]
    if os.geteuid() != 0:
        missing.append("the rights of root")
    if missing:
        pytest.fail(f"missing: {', '.join(missing)}; start the tests with tests/run, as root")


def podman_compose() -> str:
    """The program podman-compose."""
    beside = Path(sys.executable).with_name("podman-compose")
    found = str(beside) if beside.exists() else shutil.which("podman-compose")
    if found is None:
        pytest.fail("missing: podman-compose; tests/run installs it")
    return found


def programs_path() -> tuple[str, ...]:
    """In front of a command: a PATH that has podman-compose in it."""
    beside = Path(podman_compose()).parent
    return ("env", f"PATH={beside}:/usr/bin:/bin:/usr/sbin:/sbin")


@contextmanager
def host(directory: Path) -> Iterator[Host]:
    """Such a host, until the block ends; `directory` is its /etc/containers."""
    need_tools()
    (directory / "containers.conf").write_text(CONTAINERS_CONF)
    (directory / "policy.json").write_text(POLICY)
    spaces = ["--net", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"]
    command = ["unshare", *spaces, "--mount-proc", "sh", "-c", START, "sh", str(directory)]
    cgroups = set(_cgroups())
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True
    ) as holder:
        try:
            assert holder.stdout is not None
            first = holder.stdout.readline()
            assert first == "ready\n", first + holder.stdout.read()
            found = _wired(_child(holder.pid))
            yield found
            found.run("podman", "rm", "--all", "--force", "--time", "0", check=False)
        finally:
            holder.kill()
    for left in set(_cgroups()) - cgroups:
        for path in (left / "conmon", left):
            with contextlib.suppress(OSError):  # not there, or podman of this machine uses it now
                path.rmdir()


def _child(process: int) -> int:
    listed = Path(f"/proc/{process}/task/{process}/children").read_text()
    return int(listed.split()[0])


def _wired(process: int) -> Host:
    """A wire to the host, in the network that is set aside for benches (RFC 2544)."""
    # Four addresses for each process number, so that two runs on one machine do not meet.
    number = os.getpid() % 2**15
    ours, theirs = (
        f"198.{18 + at // 2**16}.{at // 256 % 256}.{at % 256}"
        for at in (4 * number + 1, 4 * number + 2)
    )
    there = Host(process, theirs, ours)
    wire = f"bty{number}"
    ip = ("ip", "link", "add", wire, "type", "veth", "peer", "name", "lan0", "netns", str(process))
    for command in (
        ip,
        ("ip", "address", "add", f"{ours}/30", "dev", wire),
        ("ip", "link", "set", wire, "up"),
    ):
        subprocess.run(command, check=True, timeout=30)
    there.run("ip", "address", "add", f"{theirs}/30", "dev", "lan0")
    there.run("ip", "link", "set", "lan0", "up")
    there.run("ip", "route", "add", "default", "via", ours)
    return there


def _cgroups() -> Iterator[Path]:
    """What podman leaves of itself among the control groups, of either version."""
    for pattern in ("libpod_parent", "*/libpod_parent"):
        yield from CGROUPS.glob(pattern)

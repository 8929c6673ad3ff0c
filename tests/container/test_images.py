"""Each image alone: read-only, without any capability, with one volume."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.container.lab import Host
from tests.container.operator import at

pytestmark = pytest.mark.system

# Stricter than compose can say: there is not even a tmpfs in /tmp.
CONFINED = (
    *("--read-only", "--read-only-tmpfs=false"),
    *("--cap-drop=all", "--security-opt=no-new-privileges"),
)
STATE = "/var/lib/bty"


@contextmanager
def _running(host: Host, name: str, *words: str) -> Iterator[None]:
    host.podman("run", "--detach", "--name", name, *CONFINED, *words)
    try:
        yield
    finally:
        host.podman("rm", "--force", "--time", "0", name)


def _stopped(host: Host, name: str) -> tuple[int, float]:
    """The exit status after SIGTERM, and how long that took."""
    started = time.monotonic()
    host.podman("stop", "--time", "30", name)
    seconds = time.monotonic() - started
    return int(host.podman("inspect", "--format", "{{.State.ExitCode}}", name)), seconds


@pytest.fixture
def volume(host: Host) -> Iterator[str]:
    """A new volume, whose owner is whoever the image says."""
    yield host.podman("volume", "create")
    host.podman("volume", "prune", "--force")


def _bty(volume: str) -> tuple[str, ...]:
    return (f"--volume={volume}:{STATE}", "--publish=8080:8080", "localhost/bty")


def test_bty_serves_and_stops_at_once(host: Host, volume: str) -> None:
    with _running(host, "bty", *_bty(volume)):
        client = at(host, 8080)
        ready = client.ask("GET", "/readyz")
        script = client.get("/pxe/52-54-00-12-34-56")
        loaders = [client.get(f"/boot/{name}") for name in ("undionly.kpxe", "snponly.efi")]
        host.podman("healthcheck", "run", "bty")
        inside = host.inspect("bty")
        first = host.podman("exec", "bty", "cat", "/proc/1/cmdline").split("\0")
        status, seconds = _stopped(host, "bty")

    assert ready["status"] == "ready"
    assert script.startswith(b"#!ipxe")
    assert all(len(loader) > 50_000 for loader in loaders)
    assert inside["EffectiveCaps"] in (None, [])
    assert first[0].endswith("python3")
    assert (status, seconds < 10) == (0, True)


def test_the_state_is_the_users_and_the_password_lasts(host: Host, volume: str) -> None:
    with _running(host, "bty", *_bty(volume)):
        at(host, 8080)
        password = host.podman("exec", "bty", "cat", f"{STATE}/admin-password")
        owners = host.podman("exec", "bty", "find", STATE, "-printf", "%U:%G %f\n")
        said = host.said("bty")
        status, _seconds = _stopped(host, "bty")
    with _running(host, "bty", *_bty(volume)):
        client = at(host, 8080)
        wrong = client.log_in("bty-lab")
        right = client.log_in(password)
        told_again = host.said("bty")

    assert status == 0
    assert {line.split()[0] for line in owners.splitlines()} == {"1000:1000"}
    assert "state.db" in owners
    assert (wrong, right) == (False, True)
    assert f"generated, in {STATE}/admin-password" in said
    assert "generated" not in told_again
    assert password not in said + told_again


def test_the_commands_are_in_there(host: Host, volume: str) -> None:
    with _running(host, "bty", *_bty(volume)):
        at(host, 8080)
        listed = host.podman("exec", "bty", "bty", "machine", "list", "--json")
        exported = host.podman("exec", "bty", "bty-web", "export", f"{STATE}/out")

    assert listed == "[]"
    assert f"{STATE}/out" in exported


def test_also_a_command_that_waits_stops_at_once(host: Host, volume: str) -> None:
    with _running(host, "bty", *_bty(volume)):
        at(host, 8080)
        _stopped(host, "bty")

    with socket.create_server((host.our_address, 0)) as silent:
        silent.settimeout(60)
        url = f"http://{host.our_address}:{silent.getsockname()[1]}/catalog.toml"
        with _running(host, "bty", *_bty(volume), "catalog", "import", url):
            line, _peer = silent.accept()
            with line:
                status, seconds = _stopped(host, "bty")

    assert (status, seconds < 10) == (128 + signal.SIGTERM, True)


def test_a_directory_of_somebody_else_is_refused_in_one_line(host: Host, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)  # as docker makes one that is not there

    done = host.run(
        *("podman", "run", "--rm", *CONFINED, f"--volume={tmp_path}:{STATE}", "localhost/bty"),
        check=False,
    )

    assert done.returncode == 74
    assert f"bty: {STATE}: cannot be written by uid 1000" in done.stderr


def test_withcache_serves_and_stops_at_once(host: Host, volume: str) -> None:
    words = (f"--volume={volume}:/data", "--publish=8081:8081", "localhost/withcache")

    with _running(host, "withcache", *words):
        alive = at(host, 8081).ask("GET", "/healthz")
        host.podman("healthcheck", "run", "withcache")
        owners = host.podman("exec", "withcache", "find", "/data", "-printf", "%U:%G\n")
        status, seconds = _stopped(host, "withcache")

    assert alive["service"] == "withcache"
    assert set(owners.splitlines()) == {"1000:1000"}
    assert (status, seconds < 10) == (0, True)

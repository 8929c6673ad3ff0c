"""Other people's servers that a test starts, each on a free port of loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

PREFIX = Path(sys.prefix)
START_SECONDS = 30.0


def docker_registry() -> str:
    """The program of Debian's docker-registry."""
    unpacked = PREFIX / "debian/usr/bin/docker-registry"
    found = shutil.which("docker-registry") or (str(unpacked) if unpacked.exists() else None)
    assert found, "the program docker-registry is missing: tests/run unpacks it"
    return found


@contextmanager
def registry(
    directory: Path, *, htpasswd: str = "", address: str = "127.0.0.1", port: int = 0
) -> Iterator[int]:
    """A real registry, whose images stay in `directory`; its port."""
    port = port or free_port(address)
    lines = [
        "version: 0.1",
        "log: {level: error}",
        f"storage: {{filesystem: {{rootdirectory: {directory}/r}}, delete: {{enabled: true}}}}",
        f"http: {{addr: '{address}:{port}'}}",
    ]
    if htpasswd:
        (directory / "htpasswd").write_text(htpasswd)
        lines.append(f"auth: {{htpasswd: {{realm: r, path: {directory}/htpasswd}}}}")
    config = directory / "registry.yml"
    config.write_text("\n".join(lines) + "\n")
    with running(
        [docker_registry(), "serve", str(config)], directory / "registry.log", port, address=address
    ):
        yield port


@contextmanager
def withcache(directory: Path, version: str, *, password: str = "", **more: str) -> Iterator[int]:
    """A real withcache, "0.8" or "0.13", with `more` in its environment; its port."""
    port = free_port()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WITHCACHE")} | more
    if version == "0.8":
        place = PREFIX / "withcache-0.8"
        assert place.is_dir(), f"{place} is missing: tests/run installs it"
        environment["PYTHONPATH"] = str(place)
    if password:
        environment["WITHCACHE_ADMIN_PASSWORD"] = password
    code = "from withcache.server import main; main()"
    command = [sys.executable, "-c", code, "--host", "127.0.0.1", "--port", str(port)]
    command += ["--data-dir", str(directory / "cache")]
    with running(command, directory / "withcache.log", port, environment):
        yield port


def free_port(address: str = "127.0.0.1") -> int:
    with closing(socket.create_server((address, 0))) as taken:
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def running(
    command: Sequence[str],
    log: Path,
    port: int,
    environment: dict[str, str] | None = None,
    *,
    at_once: bool = False,
    address: str = "127.0.0.1",
) -> Iterator[None]:
    """The program, until the block ends; it listens when the block begins. `at_once`: it is killed
    in the end, since it takes its time to stop.
    """
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
    try:
        until = time.monotonic() + START_SECONDS
        while not _listens(address, port):
            assert process.poll() is None, f"{command[0]} ended: {log.read_text()[-2000:]}"
            assert time.monotonic() < until, f"{command[0]} does not listen"
            time.sleep(0.05)
        yield
    finally:
        if at_once:
            process.kill()
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _listens(address: str, port: int) -> bool:
    with closing(socket.socket()) as client:
        return client.connect_ex((address, port)) == 0

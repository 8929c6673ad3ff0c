"""A login by ssh from this host."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

SECONDS = 60


def greeting(port: int) -> bytes:
    """The first that is said at this port; nothing where nobody is behind it."""
    with socket.create_connection(("127.0.0.1", port), SECONDS) as line:
        try:
            return line.recv(100)
        except ConnectionResetError:
            return b""


def make_key(path: Path) -> Path:
    """A new key at `path`, and its public half beside it; returns the latter."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path.with_name(f"{path.name}.pub")


def login(port: int, command: str, *how: str) -> subprocess.CompletedProcess[str]:
    """What the command said, run by root of the machine; `how` are more options of ssh."""
    options = ["-T", "-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", *how]
    options += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
    return subprocess.run(
        ["ssh", *options, "-p", str(port), "root@127.0.0.1", command],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        stdin=subprocess.DEVNULL,
        check=False,
    )

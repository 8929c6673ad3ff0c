"""The real program as servers and commands, each an own process on loopback."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3

from tests import programs

REPOSITORY = Path(__file__).parents[1]
PASSWORD = "a password of tests"
START_SECONDS = 60.0


@dataclass
class Appliance:
    """A state directory, and the server over it while that runs."""

    home: Path
    port: int = field(default_factory=programs.free_port)
    process: subprocess.Popen[bytes] | None = None
    more: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        return self.home / "state"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "BTY_PATHS_STATE_DIR": str(self.state),
            "BTY_SERVER_PORT": str(self.port),
            "BTY_SERVER_HOST": "127.0.0.1",
            "BTY_SERVER_PUBLIC_URL": self.url,
            "BTY_UPSTREAM_CATALOG_URL": "",
            **self.more,
        }

    def start(self) -> None:
        """Serve; returns when it answers."""
        self.home.mkdir(exist_ok=True)
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bty_app", "serve"],
                cwd=REPOSITORY,
                env=self.environment(),
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + START_SECONDS
        while not self.answers():
            assert self.process.poll() is None, (self.home / "log").read_text()[-2000:]
            assert time.monotonic() < until, "the server does not answer"
            time.sleep(0.05)

    def answers(self) -> bool:
        try:
            return bool(self.ask("GET", "/healthz").status == 200)
        except urllib3.exceptions.HTTPError:
            return False

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it, if it runs."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(30)
            self.process = None

    def bty(
        self, *arguments: str, status: int | None = 0, within: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """A command over this state directory."""
        done = subprocess.run(
            [sys.executable, "-m", "bty_app", *arguments],
            cwd=REPOSITORY,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
        )
        if status is not None:
            assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
        return done

    def ask(self, method: str, path: str, given: object = None, *, token: str = "") -> Any:
        """One request; the answer of urllib3."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        body = None
        if given is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(given).encode()
        return urllib3.request(
            method, self.url + path, body=body, headers=headers, retries=False, timeout=20
        )

    def script(self, mac: str) -> str:
        """What firmware is told."""
        answer = self.ask("GET", f"/pxe/{mac}")
        assert answer.status == 200, answer.data
        return str(answer.data.decode())

    def token(self, scope: str = "admin") -> str:
        """A new API token."""
        return self.bty(
            "token", "create", f"{scope}-{time.monotonic_ns()}", "--scope", scope
        ).stdout.strip()

    def remove(self) -> None:
        """As if its disk were gone."""
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.state)


@contextmanager
def appliance(home: Path, **more: str) -> Iterator[Appliance]:
    """An appliance that was not started yet, stopped at the end."""
    home.mkdir(parents=True, exist_ok=True)
    made = Appliance(home, more=more)
    try:
        yield made
    finally:
        made.stop(signal.SIGKILL)

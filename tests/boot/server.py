"""The server under test: the built single file in a process of its own, and an operator's calls."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PASSWORD = "a password of the boot tests"

_START_SECONDS = 20.0


class Server:
    """`bty.pyz serve` on a port of its own, with its state in `directory`; a context manager.

    The netboot artifacts are those in `boot_dir`; `more` are variables of its configuration.
    """

    def __init__(self, pyz: Path, directory: Path, boot_dir: Path, **more: str) -> None:
        self.port = free_port()
        # -I and -S: the file brings all it needs, whatever this interpreter has installed.
        self._command = [sys.executable, "-I", "-S", str(pyz), "serve"]
        self._log = directory / "server.log"
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("BTY_")},
            "BTY_PATHS_STATE_DIR": str(directory / "state"),
            "BTY_PATHS_BOOT_DIR": str(boot_dir),
            "BTY_SERVER_HOST": "127.0.0.1",
            "BTY_SERVER_PORT": str(self.port),
            "BTY_ADMIN_PASSWORD": PASSWORD,
            **more,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._opener = urllib.request.build_opener()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            print(f"The end of the server's log:\n{self.log_tail()}")
        self.stop()

    def start(self) -> None:
        """Start it, return when it answers, and log in.

        Raises:
            AssertionError: it ended, or did not answer in time; with the end of its log.
        """
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=log, stderr=log
            )
        until = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self.kill()
                raise AssertionError(f"the server does not answer. Its log:\n{self.log_tail()}")
            time.sleep(0.02)
        self._log_in()

    def kill(self) -> None:
        """End it as `kill -9` does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """End it as a service manager does; at once if it was killed already."""
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("the server does not end on SIGTERM") from None

    def log_tail(self) -> str:
        """The last of what it printed."""
        lines = self._log.read_text("utf-8", "replace").splitlines()
        return "\n".join(lines[-40:])

    def get(self, path: str) -> Any:
        """The JSON at `path`."""
        return self._json("GET", path)

    def put(self, path: str, body: dict[str, object]) -> Any:
        """The answer to a PUT of `body`."""
        return self._json("PUT", path, body)

    def set(self, key: str, value: str) -> None:
        """Change a setting."""
        self._json("PATCH", "/api/v1/settings", {key: value})

    def warm(self, image: str) -> None:
        """Have the cache fetch an image; returns when it has."""
        job = self._json("POST", "/api/v1/catalog/warm", {"image": image})
        while job["status"] in {"queued", "running"}:
            time.sleep(0.1)
            job = self.get(f"/api/v1/jobs/{job['id']}")
        assert job["status"] == "completed", job

    def fetch_release(self) -> dict[str, Any]:
        """Fetch the netboot artifacts that are set; the fetch when it has ended."""
        self._json("POST", "/boot/releases", {"tag": "latest"})
        while True:
            [fetch] = self.get("/boot/releases")["fetches"]
            if fetch["status"] not in {"queued", "running"}:
                return dict(fetch)
            time.sleep(0.1)

    def import_catalog(self, toml: Path) -> str:
        """Take the one entry of a catalog file into the catalog; its ref."""
        source = urllib.parse.quote(str(toml), safe="")
        answer = self._json("POST", f"/catalog/import?source={source}", {})
        assert answer["errors"] == [], answer
        [image] = self.get("/images")
        return str(image["ref"])

    def machine(self, mac: str) -> Any:
        """The machine's record."""
        return self.get(f"/machines/{mac}")

    def story(self, mac: str) -> list[str]:
        """The machine's events, oldest first: each its kind, an offer or plan with what it was."""
        query = f"/events?subject_kind=machine&subject_id={mac}&limit=500"
        return [_told(event) for event in reversed(self.get(query)["events"])]

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self._url("/healthz"), timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _log_in(self) -> None:
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        form = urllib.parse.urlencode({"password": PASSWORD}).encode()
        request = urllib.request.Request(self._url("/ui/login"), form)
        with self._opener.open(request, timeout=15) as answer:
            assert "/ui/login" not in answer.url, "the server does not take the password"

    def _json(self, method: str, path: str, body: dict[str, object] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url(path), data, method=method)
        request.add_header("Content-Type", "application/json")
        with self._opener.open(request, timeout=15) as answer:
            return json.load(answer)

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


def _told(event: dict[str, Any]) -> str:
    details = event["details"]
    if isinstance(details, str):
        details = json.loads(details)
    kind = str(event["kind"])
    return f"{kind} {details['offer_kind']}" if details and "offer_kind" in details else kind


def free_port() -> int:
    """A port of this host's loopback that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

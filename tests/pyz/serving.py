"""The single file serving in a child process, asked and stopped as an operator would."""

from __future__ import annotations

import http.cookiejar
import json
import os
import re
import signal
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PASSWORD = "correct-horse-battery"
MAC = "52:54:00:12:34:56"


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers at `url`; `process` is its program."""

    url: str
    process: int

    def get(self, path: str) -> str:
        """The body of a 200 answer."""
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return str(answer.read().decode())

    def log_in(self) -> str:
        """The machines page as an operator sees it after the login form."""
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        browser = urllib.request.build_opener(jar)
        form = browser.open(f"{self.url}/ui/login", timeout=10).read().decode()
        token = re.search(r'name="csrf_token"\s+value="([^"]*)"', form)
        fields = {"password": PASSWORD, "csrf_token": token[1] if token else ""}
        sent = urllib.parse.urlencode(fields).encode()
        browser.open(f"{self.url}/ui/login", sent, timeout=10)
        return str(browser.open(f"{self.url}/ui/machines", timeout=10).read().decode())


def environment(state_dir: str, port: int) -> dict[str, str]:
    """All that the server is told."""
    return {
        "BTY_SERVER_HOST": "127.0.0.1",
        "BTY_SERVER_PORT": str(port),
        "BTY_PATHS_STATE_DIR": state_dir,
        "BTY_ADMIN_PASSWORD": PASSWORD,
    }


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def serving(command: Sequence[str], told: dict[str, str], directory: Path) -> Iterator[Server]:
    """Run `command`, which ends in `serve`, until the block ends; it must then exit with 0.

    `{info}` in the command stands for a descriptor to which bwrap writes the child's number.
    """
    reading, writing = os.pipe()
    words = [word.replace("{info}", str(writing)) for word in command]
    with subprocess.Popen(
        words,
        env=told,
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        pass_fds=(writing,),
    ) as process:
        os.close(writing)
        assert process.stdout is not None
        said: list[str] = []
        for line in process.stdout:
            said.append(line)
            if "http://" in line:
                break
        assert said, "the server said nothing"
        assert "http://" in said[-1], "".join(said)
        info = b"" if words == list(command) else os.read(reading, 4096)
        os.close(reading)
        number = int(json.loads(info)["child-pid"]) if info else process.pid
        try:
            yield Server(f"http://127.0.0.1:{told['BTY_SERVER_PORT']}", number)
        finally:
            os.kill(number, signal.SIGTERM)
            said += process.stdout.readlines()
    assert process.returncode == 0, "".join(said)

"""What an operator and a machine do over HTTP, from outside of the containers."""

from __future__ import annotations

import http.cookiejar
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.container.lab import Host

PATIENCE = 60.0


def _browser() -> urllib.request.OpenerDirector:
    jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), jar)


@dataclass(frozen=True, slots=True)
class Client:
    """Somebody on the network who knows the address of a server."""

    url: str
    _opener: urllib.request.OpenerDirector = field(default_factory=_browser)

    def get(self, path: str) -> bytes:
        """The body of a 200 answer."""
        with self._opener.open(self.url + path, timeout=20) as answer:
            assert answer.status == 200
            return bytes(answer.read())

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """An answer in JSON."""
        told = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path, told, {"Content-Type": "application/json"}, method=method
        )
        with self._opener.open(request, timeout=20) as answer:
            return json.loads(answer.read() or b"null")

    def log_in(self, password: str) -> bool:
        """Whether the password is the operator's; from then on we are logged in."""
        sent = urllib.parse.urlencode({"password": password}).encode()
        try:
            with self._opener.open(f"{self.url}/ui/login", sent, timeout=20):
                return True
        except urllib.error.HTTPError as error:
            if error.code != 403:
                raise
            return False


def at(host: Host, port: int) -> Client:
    """A client of the server that listens there, once it answers."""
    client = Client(f"http://{host.address}:{port}")
    wait_for(lambda: client.get("/healthz"), f"{client.url} to answer")
    return client


def wait_for(question: Callable[[], object], what: str) -> None:
    """Ask until the answer is yes; an HTTP server that is not there yet is no answer."""
    until = time.monotonic() + PATIENCE
    last: object = None
    while time.monotonic() < until:
        try:
            if question():
                return
        except OSError as error:  # every URLError is one
            last = error
        time.sleep(0.2)
    raise AssertionError(f"waited {PATIENCE:.0f} s for {what}; the last failure: {last}")

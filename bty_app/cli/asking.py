"""Requests to an application in this process: nothing listens, and no other host is asked."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any

from bty_app.config import Config
from bty_app.errors import BtyError

OK = "200"
STRANGER = "02:00:00:00:00:01"  # a machine that nobody has

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class SelfTestError(BtyError):
    """The application does not answer as it must."""


def status_of(app: App, path: str, *, method: str = "GET", asker: str = "127.0.0.1") -> str:
    """The status of a request (PEP 3333), from the address `asker`."""
    said: list[str] = []

    def start(status: str, _headers: object, _info: object = None) -> None:
        said.append(status.partition(" ")[0])

    environment = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "drill.invalid",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "drill.invalid",
        "REMOTE_ADDR": asker,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for _part in app(environment, start):
        pass
    return said[-1] if said else "nothing"


def self_test(app: App, config: Config, *, has_moved: bool) -> None:
    """Render a page, and tell a machine its plan, without changing anything.

    Raises:
        SelfTestError: one of them is no answer.
    """
    networks = config.server.machine_networks
    asker = str(networks[0].network_address) if networks else "127.0.0.1"
    asked = [("GET", "/healthz"), ("GET", "/ui/login")]
    if not has_moved:  # then machines are sent on
        asked.append(("HEAD", f"/pxe/{STRANGER}/plan"))
    for method, path in asked:
        status = status_of(app, path, method=method, asker=asker)
        if status != OK:
            raise SelfTestError(f"the self-test failed: {method} {path} answers {status}")

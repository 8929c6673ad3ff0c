"""A server that answers exactly as the original's (CONTRACT 0.2, 3.4 to 3.6), or as it is told."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_PATH = re.compile(r"/pxe/[0-9a-f:]{17}/(\w+)")
_TEXTS = {"path": 255, "size": 32, "vendor": 64, "model": 128, "serial": 128, "tran": 32}


@dataclass
class Original:
    """Generation 1 has `/done`, generation 2 has `/status`; `answers` come before the usual ones,
    and a status of None sends the bytes with no head at all.
    """

    generation: int = 2
    known: bool = True
    plan: dict[str, object] = field(default_factory=lambda: {"mode": "inventory"})
    answers: dict[str, list[tuple[int | None, bytes]]] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[tuple[str, bytes]] = field(default_factory=list)
    listener: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        assert self.listener is not None
        return f"http://127.0.0.1:{self.listener.server_address[1]}"

    def taken(self, name: str) -> list[bytes]:
        """The bodies that were taken."""
        return [body for found, body in self.bodies if found == name]

    def close(self) -> None:
        """Gone; connections are refused."""
        assert self.listener is not None
        self.listener.shutdown()
        self.listener.server_close()

    def answer(self, method: str, name: str, body: bytes) -> tuple[int | None, bytes]:
        """What the original says."""
        self.asked.append((method, name))
        if self.answers.get(name):
            return self.answers[name].pop(0)
        if (method, name) == ("GET", "plan"):
            return 200, json.dumps(self.plan).encode()
        report = "done" if self.generation == 1 else "status"
        if method != "POST" or name not in ("inventory", report):
            return 404, b'{"detail":"Not Found"}'
        if not self._is_valid(name, body):
            return 422, b'{"detail":[{"type":"extra_forbidden","loc":["body"],"msg":"no"}]}'
        if not self.known:
            return 404, b'{"detail":"no machine record for 52:54:00:12:34:56"}'
        self.bodies.append((name, body))
        return 204, b""

    def _is_valid(self, name: str, body: bytes) -> bool:
        if name == "done":
            return True
        said = json.loads(body)
        if name == "status":
            reason = said.get("reason")
            known = set(said) <= {"status", "reason"} and said["status"] in ("done", "failed")
            return known and (reason is None or len(reason) <= 500)
        disks = said.get("disks", [])
        return set(said) <= {"disks", "lshw"} and len(disks) <= 64 and all(map(_is_disk, disks))


def _is_disk(disk: dict[str, object]) -> bool:
    for key, limit in _TEXTS.items():
        value = disk.get(key)
        if value is not None and not (isinstance(value, str) and len(value) <= limit):
            return False
    return bool(disk.get("path")) and all(
        isinstance(disk.get(key), bool) for key in ("removable", "readonly")
    )


@contextmanager
def original(*, port: int = 0) -> Iterator[Original]:
    """The server, on a port of loopback."""
    host = Original()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.reply()

        def do_POST(self) -> None:
            self.reply()

        def reply(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            found = _PATH.fullmatch(self.path)
            name = found[1] if found else "?"
            kind = self.headers.get("Content-Type", "")
            assert name == "done" or not body or kind == "application/json"
            status, answer = host.answer(self.command, name, body)
            if status is None:
                self.wfile.write(answer)
                self.close_connection = True
                return
            self.send_response(status)
            for key, value in host.headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            return

    host.listener = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    host.listener.daemon_threads = True
    thread = threading.Thread(target=host.listener.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield host
    finally:
        host.close()
        thread.join()

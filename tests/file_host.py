"""A host that serves files with ranges and entity tags, and fails as it is told."""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_RANGE = re.compile(r"bytes=(\d+)-")


@dataclass
class FileHost:
    """`files` by path. The faults are of every answer to a GET, or of the first `faults`."""

    files: dict[str, bytes] = field(default_factory=dict)
    die_after: int | None = None  # bytes of a body, then the connection is gone
    stall_after: int | None = None  # bytes of a body, then silence until the end of the test
    faults: int | None = None  # so many bodies fail like that, and then none
    ranges: bool = True
    tags: bool = True
    statuses: dict[str, list[int]] = field(default_factory=dict)  # to answer with, one each time
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    sent: int = 0
    address: str = "127.0.0.1"
    port: int = 0
    over: threading.Event = field(default_factory=threading.Event)
    on_get: list[threading.Event] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"http://{self.address}:{self.port}{path}"

    def gets(self, path: str) -> int:
        return sum(1 for method, found, _range in self.asked if (method, found) == ("GET", path))


class _Handler(BaseHTTPRequestHandler):
    host: FileHost
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        with contextlib.suppress(OSError):
            self._send(self._answer())
        for event in self.host.on_get:
            event.set()

    def log_message(self, *_args: object) -> None:
        pass

    def _answer(self) -> bytes:
        host, path = self.host, self.path.partition("?")[0]
        wanted = self.headers.get("Range")
        host.asked.append((self.command, path, wanted))
        statuses = host.statuses.get(path)
        data = host.files.get(path)
        if statuses or data is None:
            self.send_response(statuses.pop(0) if statuses else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return b""
        tag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        start = self._start(wanted, tag)
        if start is not None and start >= len(data):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(data)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return b""
        body = data[start or 0 :]
        self.send_response(200 if start is None else 206)
        if start is not None:
            last = len(data) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{len(data)}")
        if host.tags:
            self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        return body

    def _start(self, wanted: str | None, tag: str) -> int | None:
        found = _RANGE.fullmatch(wanted or "")
        if not found or not self.host.ranges or self.headers.get("If-Range") not in (None, tag):
            return None
        return int(found[1])

    def _send(self, body: bytes) -> None:
        host = self.host
        if host.faults is not None:
            host.faults -= 1
        spared = host.faults is not None and host.faults < 0
        faults = () if spared else (host.die_after, host.stall_after)
        limits = [n for n in faults if n is not None]
        part = body[: min(limits, default=len(body))]
        for at in range(0, len(part), 65536):
            self.wfile.write(part[at : at + 65536])
            host.sent += len(part[at : at + 65536])
        if len(part) < len(body):
            self.wfile.flush()
            if host.stall_after is not None:
                host.over.wait()
            self.close_connection = True


@contextmanager
def file_host(address: str = "127.0.0.1", /, **files: bytes) -> Iterator[FileHost]:
    """A `FileHost` on a free port of `address`, for as long as the block lasts."""
    host = FileHost({f"/{name}": data for name, data in files.items()}, address=address)
    handler = type("Handler", (_Handler,), {"host": host})
    server = ThreadingHTTPServer((address, 0), handler)
    server.daemon_threads = True
    host.port = int(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield host
    finally:
        host.over.set()
        server.shutdown()
        server.server_close()
        thread.join()

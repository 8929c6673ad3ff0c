"""A proxy that lets a host program ask what the guest would ask: `HOST` is the loopback of here.

A server is told one address of a registry or a cache, and hands it to its machines. In QEMU's user
network only they know that address; with this as its `http_proxy` the server does too.
"""

from __future__ import annotations

import http.client
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.boot.machine import HOST

_ONE_HOP = frozenset({"connection", "proxy-connection", "transfer-encoding", "keep-alive"})


@contextmanager
def guest_view() -> Iterator[str]:
    """The URL of the proxy, while the block runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def _forward(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        if url.hostname != HOST or url.port is None:
            self.send_error(502)
            return
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        path = urllib.parse.urlunsplit(("", "", url.path, url.query, ""))
        kept = {name: value for name, value in self.headers.items() if name.lower() not in _ONE_HOP}
        origin = http.client.HTTPConnection("127.0.0.1", url.port, timeout=30)
        try:
            origin.request(self.command, path, body or None, kept)
            answer = origin.getresponse()
            data = answer.read()
        except OSError:
            self.send_error(502)
            return
        finally:
            origin.close()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _ONE_HOP | {"content-length"}:
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else f"{len(data)}"
        if length is not None:
            self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_HEAD = do_POST = do_PUT = _forward  # noqa: N815 - the names of http.server

    def log_message(self, *words: object) -> None:
        """Say nothing: the server's own log is the one to read."""

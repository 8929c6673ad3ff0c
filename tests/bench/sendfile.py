"""`python -m tests.bench.sendfile DIRECTORY`: a file server that costs next to nothing.

Prints its port. It knows GET and HEAD, and ranges without an end.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import socketserver
import sys
from pathlib import Path

_REQUEST = re.compile(rb"(GET|HEAD) /([\w.-]+) ")
_RANGE = re.compile(rb"\r\nrange: bytes=(\d+)-\r\n", re.IGNORECASE)


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the client has gone
            self._answer()

    def _answer(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            received = self.request.recv(65536)
            if not received:
                return
            head += received
        asked, ranged = _REQUEST.match(head), _RANGE.search(head)
        path = Path(sys.argv[1]) / (asked[2].decode() if asked else "")
        if not asked or not path.is_file():
            self.request.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        start, size = int(ranged[1]) if ranged else 0, path.stat().st_size
        lines = ["HTTP/1.1 206 Partial Content" if ranged else "HTTP/1.1 200 OK"]
        lines += [f"Content-Length: {size - start}", "Connection: close", 'ETag: "1"']
        if ranged:
            lines.append(f"Content-Range: bytes {start}-{size - 1}/{size}")
        self.request.sendall("\r\n".join([*lines, "", ""]).encode())
        if asked[1] == b"GET":
            _send(self.request, path, start, size)


def _send(client: socket.socket, path: Path, start: int, size: int) -> None:
    with path.open("rb") as file:
        while start < size:
            start += os.sendfile(client.fileno(), file.fileno(), start, size - start)


def main() -> None:
    """Serve until killed."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        sys.stdout.write(f"{server.server_address[1]}\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    main()

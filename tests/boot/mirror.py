"""A mirror with one image, that can be told to hold the bytes back or to spoil them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


class FickleMirror:
    """Serves one image on loopback, each download as the last order says.

    A held download stops at the half of the image until it is released; a spoilt one has a
    wrong last byte.
    """

    def __init__(self, image: bytes) -> None:
        self.image = image
        self.downloads = 0
        self._spoil_next = False
        self._released = threading.Event()
        self._released.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def hold(self) -> None:
        """From now on a download stops after the first half of the image."""
        self._released.clear()

    def release(self) -> None:
        """Held downloads go on, later ones are not held."""
        self._released.set()

    def spoil_next(self) -> None:
        """The next download has a wrong last byte."""
        self._spoil_next = True

    def parts(self) -> Iterator[bytes]:
        """The bytes of one download, as they may be sent."""
        self.downloads += 1
        half = len(self.image) // 2
        yield self.image[:half]
        self._released.wait()
        rest = self.image[half:]
        yield rest[:-1] + bytes([rest[-1] ^ 1]) if self._spoil_next else rest
        self._spoil_next = False


def _handler(mirror: FickleMirror) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            if self.path.endswith(".bmap"):
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(mirror.image)))
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            if self.path.endswith(".bmap"):
                return
            try:
                for part in mirror.parts():
                    self.wfile.write(part)
            except ConnectionError:
                # The machine lost its power.
                self.close_connection = True

        def log_message(self, *words: object) -> None:
            """Say nothing: the server's own log is the one to read."""

    return Handler

"""A mirror with one image, that can be told to hold, spoil, break off, stall or cut its bytes."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from types import TracebackType
from typing import NoReturn, Self

LOOK = 1 << 20


class FickleMirror:
    """Serves one image on loopback, each download as the last order says.

    A held download stops at the half of the image until it is released; a spoilt one has a
    wrong last byte. `starts` has the byte at which each download began.
    """

    def __init__(self, image: bytes) -> None:
        self.image = image
        self.starts: list[int] = []
        self._breaks: list[int] = []
        self._stalls: list[int] = []
        self._never_after: int | None = None
        self._spoil_next = False
        self._released = threading.Event()
        self._released.set()
        self._closing = threading.Event()
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
        self._closing.set()
        self.release()
        self.gone()

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

    def break_off_at(self, *places: int) -> None:
        """At each of these bytes, once: the connection is lost."""
        self._breaks += places

    def stall_at(self, place: int) -> None:
        """At this byte, once: nothing more comes, and the connection stays."""
        self._stalls.append(place)

    def never_end(self, missing: int) -> None:
        """From now on the last `missing` bytes are promised, and never come: each connection stays
        and says nothing more.
        """
        self._never_after = len(self.image) - missing

    def gone(self) -> None:
        """From now on there is nobody."""
        self._server.shutdown()
        self._server.server_close()

    @property
    def downloads(self) -> int:
        """How many there were."""
        return len(self.starts)

    def parts(self, start: int) -> Iterator[bytes]:
        """The bytes of one download from `start` on, as they may be sent.

        Raises:
            ConnectionAbortedError: it ends here.
        """
        self.starts.append(start)
        half = len(self.image) // 2
        # What is asked of the end alone is no download; one that goes on from further before is.
        is_look = start > 0 and start >= len(self.image) - LOOK
        for at, end in pairwise(sorted({start, *self._marks(start, half), len(self.image)})):
            if at == half:
                self._released.wait()
            if at in self._breaks:
                self._breaks.remove(at)
                raise ConnectionAbortedError
            if at in self._stalls:
                self._stalls.remove(at)
                self._stay()
            if self._never_after is not None and at >= self._never_after:
                self._stay()
            yield self.image[at:end] if is_look else self._piece(at, end)

    def _stay(self) -> NoReturn:
        self._closing.wait()
        raise ConnectionAbortedError

    def _marks(self, start: int, half: int) -> list[int]:
        never = () if self._never_after is None else (self._never_after,)
        return [at for at in (half, *self._breaks, *self._stalls, *never) if at > start]

    def _piece(self, start: int, end: int) -> bytes:
        piece = self.image[start:end]
        if not self._spoil_next or end < len(self.image):
            return piece
        self._spoil_next = False
        return piece[:-1] + bytes([piece[-1] ^ 1])


def _handler(mirror: FickleMirror) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._head(0)

        def do_GET(self) -> None:
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
            start = min(int(asked[1]), len(mirror.image)) if asked else 0
            if not self._head(start):
                return
            try:
                for part in mirror.parts(start):
                    self.wfile.write(part)
            except ConnectionError:
                # The machine lost its power, or an order says that the network did.
                self.close_connection = True

        def _head(self, start: int) -> bool:
            if self.path.endswith(".bmap"):
                self.send_error(404)
                return False
            size = len(mirror.image)
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(size - start))
            self.send_header("ETag", '"proof"')
            if start:
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            self.end_headers()
            return True

        def log_message(self, *words: object) -> None:
            """Say nothing: the server's own log is the one to read."""

    return Handler

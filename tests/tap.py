"""A wire with a tap: a TCP proxy on loopback that counts what is sent, and can cut it.

Threads: two for each connection.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_CHUNK = 64 * 1024


class Tap:
    """Passes everything on to a port of loopback."""

    def __init__(self, port: int) -> None:
        self.sent = 0
        self.cut_at: int | None = None
        self.cut_answers_after: int | None = None
        self.cuts = 0
        self._answered = 0
        self.reached: Callable[[], None] = lambda: None
        self._to = port
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                for source, sink in ((client, server), (server, client)):
                    pump = threading.Thread(
                        target=self._pump, args=(source, sink, source is client), daemon=True
                    )
                    pump.start()

    def _pump(self, source: socket.socket, sink: socket.socket, counts: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                if counts and self._counted(len(data)):
                    break
                if not counts and self._is_cut_short(len(data)):
                    break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _counted(self, size: int) -> bool:
        """Whether the wire is to be cut here."""
        with self._lock:
            self.sent += size
            if self.cut_at is None or self.sent < self.cut_at:
                return False
        self.reached()
        return True

    def _is_cut_short(self, size: int) -> bool:
        """Once, when so much was answered."""
        with self._lock:
            self._answered += size
            if self.cut_answers_after is None or self._answered < self.cut_answers_after:
                return False
            self.cut_answers_after = None
            self.cuts += 1
        return True


@contextmanager
def tapped(port: int) -> Iterator[Tap]:
    """A tap before `port`."""
    tap = Tap(port)
    try:
        yield tap
    finally:
        tap.close()

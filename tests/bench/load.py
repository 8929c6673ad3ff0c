"""A light HTTP client for load: one thread, raw sockets, requests that are made beforehand.

It shares the machine with the server that it measures, so it parses as little as it can.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

ADDRESS = "127.0.0.1"
TIMEOUT_SECONDS = 10.0
_CHUNK = 256 * 1024
_MAX_HEAD = 64 * 1024


@dataclass(frozen=True, slots=True)
class Step:
    """One request, and what its answer must be: a status, and a text that it contains."""

    name: str
    request: bytes
    status: bytes = b"200"
    holds: bytes = b""


Conversation = Sequence[Step]


@dataclass(slots=True)
class Outcome:
    """What was measured. Latencies in seconds, for each step in the order of arrival."""

    elapsed: float = 0.0
    latencies: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def answers(self) -> int:
        """How many answers were as they should be."""
        return sum(map(len, self.latencies.values()))


class _Connection:
    """One client: it works through a conversation, then through the next."""

    __slots__ = ("at", "began", "buffer", "conversation", "pending", "socket")

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.at = 0
        self.began = 0.0
        self.buffer = b""
        self.pending = b""
        self.socket: socket.socket | None = None


def request(method: str, path: str, *, body: bytes | None = None) -> bytes:
    """A request as it goes over the wire; a body is JSON."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {ADDRESS}:8080"]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def drive(
    port: int,
    conversations: Iterator[Conversation],
    *,
    connections: int,
    seconds: float | None = None,
    reconnect: bool = False,
) -> Outcome:
    """Hold `conversations` over so many connections, until they or the seconds run out.

    An answer that is wrong, late (10 s) or cut off counts as an error and ends its conversation.
    """
    driver = _Driver(port, conversations, reconnect=reconnect)
    return driver.run(connections, seconds)


class _Driver:
    def __init__(
        self, port: int, conversations: Iterator[Conversation], *, reconnect: bool
    ) -> None:
        self._port = port
        self._conversations = conversations
        self._reconnect = reconnect
        self._selector = selectors.EpollSelector()
        self._open: set[_Connection] = set()
        self._stop_at = float("inf")
        self.outcome = Outcome()

    def run(self, connections: int, seconds: float | None) -> Outcome:
        start = time.perf_counter()
        if seconds is not None:
            self._stop_at = start + seconds
        for _ in range(connections):
            conversation = next(self._conversations, None)
            if conversation is None:
                break
            self._begin(_Connection(conversation))
        checked = start
        while self._open:
            for key, events in self._selector.select(timeout=1.0):
                self._serve(key.data, events)
            now = time.perf_counter()
            if now - checked > 1.0:
                checked = now
                self._give_up_the_late(now)
        self._selector.close()
        self.outcome.elapsed = time.perf_counter() - start
        return self.outcome

    def _begin(self, connection: _Connection) -> None:
        """Send the next request, over a new connection where there is none."""
        self._open.add(connection)
        connection.began = time.perf_counter()
        connection.buffer = b""
        connection.pending = connection.conversation[connection.at].request
        try:
            if connection.socket is None:
                connection.socket = socket.create_connection((ADDRESS, self._port), timeout=5)
                connection.socket.setblocking(False)
                connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._selector.register(connection.socket, selectors.EVENT_READ, connection)
            self._send(connection)
        except OSError as error:
            self._fail(connection, f"{type(error).__name__}")

    def _serve(self, connection: _Connection, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                self._send(connection)
            if events & selectors.EVENT_READ:
                self._receive(connection)
        except OSError as error:
            self._fail(connection, f"{type(error).__name__}")

    def _send(self, connection: _Connection) -> None:
        assert connection.socket is not None
        waited = bool(connection.pending) and connection.buffer == b"-"
        try:
            sent = connection.socket.send(connection.pending)
        except BlockingIOError:
            sent = 0
        connection.pending = connection.pending[sent:]
        if connection.pending:
            connection.buffer = b"-"
            both = selectors.EVENT_READ | selectors.EVENT_WRITE
            self._selector.modify(connection.socket, both, connection)
        elif waited:
            connection.buffer = b""
            self._selector.modify(connection.socket, selectors.EVENT_READ, connection)

    def _receive(self, connection: _Connection) -> None:
        assert connection.socket is not None
        try:
            data = connection.socket.recv(_CHUNK)
        except BlockingIOError:
            return
        if not data:
            self._fail(connection, "cut off")
            return
        connection.buffer += data
        size = _answer_size(connection.buffer)
        if size is not None and len(connection.buffer) >= size:
            self._answered(connection)
        elif size is None and len(connection.buffer) > _MAX_HEAD:
            self._fail(connection, "no head")

    def _answered(self, connection: _Connection) -> None:
        step = connection.conversation[connection.at]
        status = connection.buffer[9:12]
        if status != step.status:
            self._fail(connection, f"{step.name}: status {status.decode('ascii', 'replace')}")
            return
        if step.holds not in connection.buffer:
            self._fail(connection, f"{step.name}: another answer")
            return
        now = time.perf_counter()
        self.outcome.latencies[step.name].append(now - connection.began)
        connection.at += 1
        # waitress ends a connection after each answer without a length, 204 among them.
        if b"\r\nconnection: close" in connection.buffer[:_MAX_HEAD].lower():
            self._disconnect(connection)
        if connection.at < len(connection.conversation):
            self._begin(connection)
        else:
            self._next(connection, now, keep=not self._reconnect)

    def _fail(self, connection: _Connection, what: str) -> None:
        self.outcome.errors[what] += 1
        self._next(connection, time.perf_counter(), keep=False)

    def _next(self, connection: _Connection, now: float, *, keep: bool) -> None:
        """Go on with another conversation, if there is one and time for it."""
        following = next(self._conversations, None) if now < self._stop_at else None
        if not keep or following is None:
            self._close(connection)
        if following is not None:
            connection.conversation = following
            connection.at = 0
            self._begin(connection)

    def _close(self, connection: _Connection) -> None:
        self._open.discard(connection)
        self._disconnect(connection)

    def _disconnect(self, connection: _Connection) -> None:
        if connection.socket is not None:
            self._selector.unregister(connection.socket)
            connection.socket.close()
            connection.socket = None

    def _give_up_the_late(self, now: float) -> None:
        for connection in list(self._open):
            if now - connection.began > TIMEOUT_SECONDS:
                self._fail(connection, "no answer in 10 s")


def _answer_size(data: bytes) -> int | None:
    """How long the answer is as a whole; None while its head is not here."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    if data[9:12] in {b"204", b"304"}:
        return end + 4
    at = data.find(b"Content-Length: ", 0, end)
    if at < 0:
        at = data.lower().find(b"content-length: ", 0, end)
    if at < 0:
        return end + 4
    return end + 4 + int(data[at + 16 : data.find(b"\r\n", at)])

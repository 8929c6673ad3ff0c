"""The HTTP server: waitress, and the only module that knows it.

Threads: `http` runs the socket loop and sends files; `waitress-N` each work on one request.
"""

from __future__ import annotations

import errno
import logging
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from waitress import wasyncore
from waitress.buffers import OverflowableBuffer
from waitress.channel import ClientDisconnected, HTTPChannel
from waitress.server import create_server
from waitress.task import WSGITask

from bty_app.errors import ConfigError, ConflictError

DRAIN_SECONDS = 5.0
_POLL_SECONDS = 1.0
_DRAIN_POLL_SECONDS = 0.05


def bind(host: str, port: int) -> socket.socket:
    """A listening-to-be socket; port 0 takes a free one.

    Raises:
        ConflictError: another program has the port.
        ConfigError: the address is not ours, or the port needs more rights.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        where = f"{host} port {port}"
        if error.errno == errno.EADDRINUSE:
            raise ConflictError(
                f"{where} is in use by another program: stop it, or choose another port"
            ) from error
        raise ConfigError(f"{where} cannot be listened on: {error.strerror}") from error
    return listener


class _Task(WSGITask):  # type: ignore[misc]  # waitress has no types
    """Hands the header to the channel to go out with the first part of the body."""

    wrote_header: bool

    def write(self, data: bytes) -> None:
        if self.complete and not self.wrote_header:
            self.channel.header = self.build_response_header()
            self.wrote_header = True
        super().write(data)

    def finish(self) -> None:
        super().finish()
        self.channel.write_soon(b"")  # a header without a body


class _Channel(HTTPChannel):  # type: ignore[misc]  # waitress has no types
    """Sends from the thread that made the answer, before the socket loop hears of it.

    waitress counts bytes as pending first and sends them then. Meanwhile its loop finds the
    socket writable and spins, and so keeps the interpreter's lock from the thread that is
    sending: at 16 connections that cost three quarters of all answers.
    """

    task_class = _Task
    header = b""

    def write_soon(self, data: Any) -> int:
        header, self.header = self.header, b""
        if not isinstance(data, bytes):
            return self._left_to_the_loop(header, data)
        whole = header + data
        rest = whole[self._sent_at_once(whole) :] if whole else b""
        super().write_soon(rest)
        return len(data)

    def _left_to_the_loop(self, header: bytes, file: Any) -> int:
        """A file is sent from the socket loop alone, however small it is."""
        with self.outbuf_lock:
            if not self.connected:
                raise ClientDisconnected
            self.outbufs[-1].append(header)
            self.outbufs += [file, OverflowableBuffer(self.adj.outbuf_overflow)]
            self.current_outbuf_count = 0
            self.total_outbufs_len += len(header) + len(file)
        self.server.pull_trigger()
        return len(file)

    def _sent_at_once(self, data: bytes) -> int:
        with self.outbuf_lock:
            if self.total_outbufs_len or not self.connected:
                return 0
            try:
                return int(self.send(data, do_close=False))
            except OSError:
                return 0  # waitress tries again, and closes the channel


class HttpWorker:
    """Serves one WSGI application until it is stopped."""

    name = "http"

    def __init__(
        self,
        app: Callable[..., Any],
        listener: socket.socket,
        *,
        threads: int,
        max_body_bytes: int,
        spool_dir: Path,
    ) -> None:
        # A full queue is a rack that boots together, not a line for each of its machines.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        # waitress spools large bodies to nameless temporary files, and a read-only host has
        # room for them in the state directory alone.
        tempfile.tempdir = str(spool_dir)
        self._stopping = threading.Event()
        self._closing = threading.Lock()
        self._closed = False
        self._server: Any = create_server(
            app,
            sockets=[listener],
            threads=threads,
            ident="bty",
            # One per machine of a rack and per tab; the default of 100 stops a boot storm.
            connection_limit=2000,
            # select() cannot watch a descriptor beyond 1023.
            asyncore_use_poll=True,
            # A box that goes quiet in mid-request gives its place back.
            channel_timeout=60,
            # Believed or not by our own list of proxies (web/middleware.py).
            clear_untrusted_proxy_headers=False,
            max_request_body_size=max_body_bytes + 1,
            # Small bodies stay in memory.
            inbuf_overflow=256 * 1024,
            # Beyond the high watermark (16 MiB) a request thread waits for its client.
            outbuf_overflow=64 * 1024 * 1024,
            max_request_header_size=64 * 1024,
            # A client that goes away is no error of ours.
            log_socket_errors=False,
        )

        self._server.channel_class = _Channel

    def run(self) -> None:
        """Serve until `stop()`, then finish the requests under way."""
        server = self._server
        while not self._stopping.is_set():
            self._turn(_POLL_SECONDS)
        server.accepting = False
        deadline = time.monotonic() + DRAIN_SECONDS
        while self._busy() and time.monotonic() < deadline:
            self._turn(_DRAIN_POLL_SECONDS)
        server.task_dispatcher.shutdown(timeout=max(0.5, deadline - time.monotonic()))
        with self._closing:
            self._closed = True
            wasyncore.close_all(server._map, ignore_all=True)

    def stop(self) -> None:
        """Take no new connection, finish what is under way, end. Any thread may call."""
        self._stopping.set()
        with self._closing:
            if not self._closed:  # the number of its descriptor may be another's by then
                self._server.pull_trigger()

    def _turn(self, timeout: float) -> None:
        wasyncore.loop(timeout=timeout, use_poll=True, map=self._server._map, count=1)

    def _busy(self) -> bool:
        channels = list(self._server.active_channels.values())
        return any(channel.requests or channel.total_outbufs_len for channel in channels)

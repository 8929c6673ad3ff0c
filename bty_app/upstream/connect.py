"""A connection to another host, made within a deadline and cut off at it.

Threads: any may call. Each connection has a timer thread, since a time-out for each read never
ends on a peer that sends a byte now and then; each look-up of a name has one too, since the
resolver takes no time-out.
"""

from __future__ import annotations

import contextlib
import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from urllib3.connection import HTTPConnection, HTTPSConnection

from bty_app.upstream.proxy import Proxy, ProxyError, proxy_for
from bty_app.upstream.trust import context_with

CONNECT_SECONDS = 10.0  # for one address
MAX_LOOKUPS = 32  # a dead name server holds each for half a minute

_Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[object, ...]]


class NameServerError(OSError):
    """The resolver found nothing in the time there was."""


@dataclass(frozen=True, slots=True)
class Line:
    """An open connection. `proxy` is set where it ends there, and is asked for whole URLs."""

    connection: HTTPConnection
    proxy: Proxy | None
    cut: Callable[[], None]
    stop_deadline: Callable[[], None]


class Dialer:
    """Makes connections."""

    def __init__(self, ca: Path | None = None, beside: str = "") -> None:
        """`ca`: a PEM file with the authorities that are trusted in place of the usual ones;
        `beside`: a PEM text with those that are trusted as well.
        """
        self._ca = ca
        self._beside = beside
        self._lookups = threading.BoundedSemaphore(MAX_LOOKUPS)
        self._lock = threading.Lock()
        self._trust: ssl.SSLContext | None = None

    @contextmanager
    def line(self, scheme: str, host: str, port: int, deadline: float) -> Iterator[Line]:
        """A connection, for as long as the block lasts; `deadline` is monotonic.

        Raises:
            OSError, ValueError, http.client.HTTPException: there is none.
        """
        proxy = proxy_for(scheme, host, port)
        with contextlib.ExitStack() as closing:
            plain = self._plain(proxy, host, port, deadline)
            closing.callback(plain.close)
            cut, stop_deadline = closing.enter_context(_cut_off(plain, deadline))
            if scheme == "https":
                if proxy:
                    proxy.tunnel(plain, host, port)
                connection: HTTPConnection = HTTPSConnection(host, port, timeout=None)
                connection.sock = self._context().wrap_socket(
                    plain, server_hostname=connection.host
                )
                proxy = None
            else:
                connection = HTTPConnection(host, port, timeout=None)
                connection.sock = plain
            closing.callback(connection.close)
            yield Line(connection, proxy, cut, stop_deadline)

    def _plain(self, proxy: Proxy | None, host: str, port: int, deadline: float) -> socket.socket:
        if proxy is None:
            return self._tcp(host, port, deadline)
        try:
            return self._tcp(proxy.host, proxy.port, deadline)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise ProxyError(f"{proxy} cannot be reached: {why}") from error

    def _tcp(self, host: str, port: int, deadline: float) -> socket.socket:
        """A connection to the first address that takes it; each has its share of the time."""
        failure: OSError = OSError("its name has no address")
        addresses = self._addresses(host, port, deadline)
        for done, address in enumerate(addresses):
            share = _remaining(deadline) / (len(addresses) - done)
            try:
                return _connected(address, min(CONNECT_SECONDS, share))
            except OSError as error:
                failure = error
        raise failure

    def _addresses(self, host: str, port: int, deadline: float) -> Sequence[_Address]:
        if _is_address(host):
            return _resolved(host, port)
        if not self._lookups.acquire(timeout=_remaining(deadline)):
            raise NameServerError("the name server does not answer")
        found: queue.SimpleQueue[Sequence[_Address] | Exception] = queue.SimpleQueue()

        def look_up() -> None:
            try:
                found.put(_resolved(host, port))
            except (OSError, ValueError) as error:
                found.put(error)
            finally:
                self._lookups.release()

        threading.Thread(target=look_up, name="http-name", daemon=True).start()
        try:
            answer = found.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise NameServerError("the name server does not answer") from None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _context(self) -> ssl.SSLContext:
        """Whom we trust: reading the authorities takes as long as an exchange."""
        with self._lock:
            if self._trust is None:
                self._trust = context_with(self._ca, self._beside)
            return self._trust


def _remaining(deadline: float) -> float:
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError
    return remaining


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _resolved(host: str, port: int) -> Sequence[_Address]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def _connected(address: _Address, seconds: float) -> socket.socket:
    family, kind, protocol, _name, where = address
    made = socket.socket(family, kind, protocol)
    try:
        made.settimeout(seconds)
        made.connect(where)
        made.settimeout(None)  # from here on the deadline cuts it off
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        made.close()
        raise
    return made


@contextmanager
def _cut_off(
    line: socket.socket, deadline: float
) -> Iterator[tuple[Callable[[], None], Callable[[], None]]]:
    """Shut the connection down at the deadline, whatever its peer is doing."""
    handle = line.dup()  # TLS takes the other one away
    lock = threading.Lock()

    def cut() -> None:
        with lock, contextlib.suppress(OSError):  # closed already
            handle.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, deadline - time.monotonic()), cut)
    timer.name = "http-deadline"
    timer.daemon = True
    timer.start()
    try:
        yield cut, timer.cancel
    finally:
        timer.cancel()
        with lock:
            handle.close()

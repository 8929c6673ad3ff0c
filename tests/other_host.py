"""Another host on the network: an HTTP server that answers each path as badly as it is told.

Threads: each connection has one.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

Answer = Callable[[socket.socket], None]


@dataclass(frozen=True)
class Identity:
    """A certificate that signed itself, and its key."""

    certificate: Path
    key: Path


class OtherHost:
    """Answers by `routes`, and remembers the heads of the requests; over TLS with an identity."""

    def __init__(self, identity: Identity | None = None) -> None:
        self._tls = _server_context(identity) if identity else None
        self.routes: dict[str, Answer] = {}
        self.heads: list[str] = []
        self.stopping = threading.Event()
        host = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError), host.talking(self.request) as client:
                    host.serve(client)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def url(self, path: str) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}{path}"

    @contextmanager
    def talking(self, client: socket.socket) -> Iterator[socket.socket]:
        """The connection as it is spoken over."""
        if self._tls is None:
            yield client
            return
        with self._tls.wrap_socket(client, server_side=True) as wrapped:
            yield wrapped

    def serve(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            received = client.recv(65536)
            if not received:
                return
            head += received
        text = head.decode("latin-1")
        self.heads.append(text)
        path = text.split(" ", 2)[1].partition("?")[0]
        self.routes.get(path, answer(status="404 Not Found"))(client)

    def drip(self, data: bytes, *, first: bytes = b"") -> Answer:
        """Send `first` at once, then `data` byte by byte, until the test ends."""

        def send(client: socket.socket) -> None:
            client.sendall(first)
            for byte in data:
                if self.stopping.wait(0.02):
                    return
                client.sendall(bytes([byte]))

        return send

    def silence(self, client: socket.socket) -> None:
        """Take the request and say nothing."""
        self.stopping.wait()

    def close(self) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def other_host(identity: Identity | None = None) -> Iterator[OtherHost]:
    """An `OtherHost`, for as long as the block lasts."""
    host = OtherHost(identity)
    try:
        yield host
    finally:
        host.close()


def identity(directory: Path, *names: str) -> Identity:
    """A new one for `names`, such as "IP:127.0.0.1" or "DNS:files.example"."""
    openssl = shutil.which("openssl")
    assert openssl, "the program openssl is missing: it makes the certificates of the tests"
    made = Identity(directory / "certificate.pem", directory / "key.pem")
    command = [openssl, "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=other-host"]
    command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-addext", f"subjectAltName={','.join(names)}"]
    command += ["-keyout", str(made.key), "-out", str(made.certificate)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return made


def _server_context(identity: Identity) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)
    return context


def raw(data: bytes) -> Answer:
    """Send exactly these bytes and hang up."""
    return lambda client: client.sendall(data)


def answer(body: bytes = b"", *, status: str = "200 OK", **headers: str) -> Answer:
    """A correct answer. Underscores in the names of `headers` stand for hyphens."""
    fields = {"Content_Length": str(len(body)), **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    head = "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""])
    return raw(head.encode("latin-1") + body)


def redirect(location: str) -> Answer:
    """Go and ask elsewhere."""
    return answer(status="302 Found", Location=location)

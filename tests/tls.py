"""An authority of one's own, its certificates, and TLS before a server that speaks none."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.other_host import Identity

_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_PAST = ("20200101000000Z", "20200102000000Z")


class Authority:
    """Signs certificates; `certificate` is its own."""

    def __init__(self, directory: Path) -> None:
        self._place = directory
        self._numbers = itertools.count(1)
        self.certificate = directory / "authority.pem"
        self._key = directory / "authority.key"
        usage = "keyUsage=critical,keyCertSign,cRLSign"
        _openssl(
            *("req", "-x509", *_CURVE, "-days", "2", "-subj", "/CN=an authority of tests"),
            *("-addext", usage, "-keyout", str(self._key), "-out", str(self.certificate)),
        )

    def identity(self, name: str, *, days: int = 2) -> Identity:
        """A certificate for `name`, such as "IP:127.0.0.1"; one of the past with negative days."""
        base = self._place / f"host-{next(self._numbers)}"
        made = Identity(base.with_suffix(".pem"), base.with_suffix(".key"))
        request, more = base.with_suffix(".csr"), base.with_suffix(".cnf")
        _openssl(
            *("req", *_CURVE, "-subj", "/CN=host", "-keyout", str(made.key), "-out", str(request))
        )
        more.write_text(f"subjectAltName={name}\n")
        signing = ["-in", str(request), "-out", str(made.certificate), "-extfile", str(more)]
        authority = ["-CA", str(self.certificate), "-CAkey", str(self._key), "-CAcreateserial"]
        _openssl("x509", "-req", *authority, *signing, "-days", str(days))
        return made


def _openssl(*arguments: str) -> None:
    program = shutil.which("openssl")
    assert program, "the program openssl is missing: it makes the certificates of the tests"
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@contextmanager
def tls_before(port: int, identity: Identity) -> Iterator[int]:
    """A port of loopback that takes TLS off, and passes on what is said to `port`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=_accept, args=(listener, context, port))
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def _accept(listener: socket.socket, context: ssl.SSLContext, port: int) -> None:
    while True:
        try:
            client, _address = listener.accept()
        except OSError:
            return
        threading.Thread(target=_talk, args=(client, context, port), daemon=True).start()


def _talk(client: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with contextlib.suppress(OSError), contextlib.ExitStack() as kept:
        client.settimeout(30)
        inner = kept.enter_context(context.wrap_socket(client, server_side=True))
        server = kept.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
        back = threading.Thread(target=_pass, args=(server, inner), daemon=True)
        back.start()
        _pass(inner, server)
        back.join()


def _pass(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)

"""Through a real little proxy, which knows all names as the other host."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator

import pytest

from bty_app.errors import UnavailableError
from bty_app.upstream.http import Http, Request
from tests.other_host import Identity, answer, identity, other_host, raw

VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "REQUEST_METHOD")


class LittleProxy:
    """Sends everything to `origin_port`, and remembers the heads of what it was asked."""

    def __init__(self) -> None:
        self.origin_port = 0
        self.refusal = b""
        self.heads: list[str] = []
        proxy = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    proxy.serve(self.request)

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://me:se%20cret@127.0.0.1:{self.server.server_address[1]}"

    def serve(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(65536)
        self.heads.append(head.decode())
        if self.refusal:
            client.sendall(self.refusal)
            return
        with socket.create_connection(("127.0.0.1", self.origin_port)) as origin:
            if head.startswith(b"CONNECT "):
                client.sendall(b"HTTP/1.1 200 Connection established\r\nVia: little\r\n\r\n")
            else:
                method, url, rest = head.split(b" ", 2)
                path = b"/" + url.split(b"/", 3)[3]
                origin.sendall(b" ".join((method, path, rest)))
            back = threading.Thread(target=pump, args=(origin, client), daemon=True)
            back.start()
            pump(client, origin)
            back.join()


def pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@pytest.fixture(autouse=True)
def _no_other_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[LittleProxy]:
    made = LittleProxy()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("http_proxy", made.url)
    monkeypatch.setenv("https_proxy", made.url)
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return identity(tmp_path_factory.mktemp("tls"), "DNS:files.example")


def get(url: str, *, seconds: float = 10, **headers: str) -> bytes:
    return Http().ask(Request(url, headers=headers), limit=1000, seconds=seconds).body


def test_a_plain_request_goes_through_the_proxy(proxy: LittleProxy) -> None:
    with other_host() as host:
        proxy.origin_port = host.port
        host.routes["/a"] = answer(b"here")

        assert get("http://you:pw@files.example:8080/a?b=1#c") == b"here"

    (head,) = proxy.heads
    assert head.startswith("GET http://files.example:8080/a?b=1 HTTP/1.1\r\n")
    assert "\r\nHost: files.example:8080\r\n" in head
    assert "\r\nProxy-Authorization: Basic bWU6c2UgY3JldA==\r\n" in head
    assert "\r\nAuthorization: Basic eW91OnB3\r\n" in head


def test_tls_goes_through_the_proxy_unread(
    proxy: LittleProxy, known: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(known.certificate))
    with other_host(known) as host:
        proxy.origin_port = host.port
        host.routes["/a"] = answer(b"here")

        assert get("https://files.example/a", Authorization="Bearer x") == b"here"

    (outer,), (inner,) = proxy.heads, host.heads
    assert outer.startswith("CONNECT files.example:443 HTTP/1.1\r\nHost: files.example:443\r\n")
    assert "Proxy-Authorization: Basic bWU6c2UgY3JldA==\r\n" in outer
    assert "Bearer" not in outer
    assert inner.startswith("GET /a HTTP/1.1\r\nHost: files.example\r\n")
    assert "Proxy-" not in inner


def test_the_certificate_is_that_of_the_host_behind_the_proxy(
    proxy: LittleProxy, known: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(known.certificate))
    with other_host(known) as host:
        proxy.origin_port = host.port

        with pytest.raises(UnavailableError, match="its certificate is not trusted"):
            get("https://other.example/a")


def test_this_machine_is_never_behind_a_proxy(proxy: LittleProxy) -> None:
    with other_host() as host:
        host.routes["/a"] = answer(b"here")

        assert get(host.url("/a")) == b"here"
        assert get(host.url("/a").replace("127.0.0.1", "localhost")) == b"here"
    assert not proxy.heads


def test_what_no_proxy_names_is_asked_itself(
    proxy: LittleProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda _name, port, **more: resolve("127.0.0.1", port, **more)
    )
    monkeypatch.setenv("no_proxy", "other.example,.lab.example")
    with other_host() as host:
        host.routes["/a"] = answer(b"here")

        assert get(f"http://cache.lab.example:{host.port}/a") == b"here"
    assert not proxy.heads


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_away_is_named_without_its_password(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv(f"{scheme}_proxy", f"me:secret@{where}")

        with pytest.raises(UnavailableError) as caught:
            get(f"{scheme}://files.example/a")

    assert caught.value.message == (
        f"{scheme}://files.example/a cannot be fetched:"
        f" the proxy http://{where} cannot be reached: Connection refused"
    )


@pytest.mark.parametrize("named", ["socks5://127.0.0.1:1", "https://127.0.0.1:1", "http://[::1"])
@pytest.mark.usefixtures("proxy")
def test_a_proxy_of_another_kind_is_refused(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", named)

    with pytest.raises(UnavailableError, match="http_proxy in the environment names no http://"):
        get("http://files.example/a")


def test_a_tunnel_that_is_refused_is_one_sentence(proxy: LittleProxy) -> None:
    proxy.refusal = b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n"

    with pytest.raises(UnavailableError, match=r"the proxy http://127\S+ answers 407, not 200"):
        get("https://files.example/a")


@pytest.mark.parametrize("told", ["silence", "drip", "nothing", "nonsense"])
def test_a_tunnel_that_never_opens_ends_in_time(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with other_host() as bad:
        behaviours = {
            "silence": bad.silence,
            "drip": bad.drip(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 99),
            "nothing": raw(b""),
            "nonsense": raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
        }
        bad.routes["files.example:443"] = behaviours[told]
        monkeypatch.setenv("https_proxy", bad.url(""))
        waits = told in ("silence", "drip")

        sentence = "did not answer in time" if waits else "cannot be fetched: "
        with pytest.raises(UnavailableError, match=sentence):
            get("https://files.example/a", seconds=0.5 if waits else 10)

"""The application behind its real server, on real sockets."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from bty_app.errors import ConfigError, ConflictError
from bty_app.workers import http
from tests import serving
from tests.serving import KERNEL, MAC, Site

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 303),
        ("HEAD", "/", 200),
        ("GET", "/healthz", 200),
        ("GET", f"/pxe/{MAC}", 200),
        ("GET", f"/pxe/{MAC}/plan", 200),
        ("GET", "/pxe/zz", 400),
        ("GET", "/machines", 401),
        ("GET", "/nothing", 404),
        ("DELETE", "/healthz", 405),
        ("HEAD", f"/pxe/{MAC}/done", 405),
        ("POST", f"/pxe/{MAC}/done", 404),
        ("GET", "/boot/nothing", 404),
        ("HEAD", f"/boot/{KERNEL}", 200),
        ("GET", f"/boot/{KERNEL}", 200),
    ],
)
def test_every_answer_has_a_date(
    server: Site, quick_dir: Path, method: str, path: str, status: int
) -> None:
    body = b"" if method == "POST" else None
    with serving.listening(server.app, quick_dir) as port:
        answer = serving.exchange(port, serving.request(method, path, body))

    assert answer.split()[1] == str(status).encode()
    assert answer.count(b"\r\nDate: ") == 1


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GARBAGE\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", b"400"),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", b"431"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n", b"501"),
    ],
)
def test_what_the_server_refuses_itself_has_a_date_as_well(
    server: Site, quick_dir: Path, raw: bytes, status: bytes
) -> None:
    with serving.listening(server.app, quick_dir) as port, closing(serving.connected(port)) as line:
        line.sendall(raw)
        answer = line.recv(65536)

    assert answer.split()[1] == status, answer
    assert b"\r\nDate: " in answer


def test_a_body_over_the_bound_is_refused_before_it_is_sent(server: Site, quick_dir: Path) -> None:
    head = (
        f"POST /pxe/{MAC}/inventory HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        f"Content-Length: {150 * 2**20}\r\n\r\n"
    )

    with serving.listening(server.app, quick_dir) as port, closing(serving.connected(port)) as line:
        line.sendall(head.encode())
        answer = line.recv(65536)

    assert answer.split()[1] == b"413"


def test_a_chunked_body_is_read_like_any_other(server: Site, quick_dir: Path) -> None:
    server.contact()
    body = json.dumps({"disks": [{"path": "/dev/sda", "serial": "S9"}]}).encode()
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)

    with serving.listening(server.app, quick_dir) as port:
        answer = serving.exchange(
            port,
            serving.request(
                "POST",
                f"/pxe/{MAC}/inventory",
                None,
                "Transfer-Encoding: chunked",
                "Content-Type: application/json",
            )
            + chunks,
        )

    assert answer.startswith(b"HTTP/1.1 204")
    assert server.operate("GET", f"/machines/{MAC}").json["known_disks"][0]["serial"] == "S9"


def test_posts_are_never_answered_with_a_redirect(server: Site, quick_dir: Path) -> None:
    with serving.listening(server.app, quick_dir) as port:
        answers = [
            serving.exchange(port, serving.request("POST", path, b""))
            for path in ("/", f"/pxe/{MAC}/", f"/pxe/{MAC}/done/", f"/pxe/{MAC}/status/", "//")
        ]

    assert all(not answer.split()[1].startswith(b"3") for answer in answers)


def test_150_idle_connections_delay_no_contact(server: Site, quick_dir: Path) -> None:
    with serving.listening(server.app, quick_dir) as port, ExitStack() as stack:
        for _ in range(150):
            line = HTTPConnection("127.0.0.1", port, timeout=10)
            stack.callback(line.close)
            line.request("GET", "/healthz")
            assert line.getresponse().read() == b'{"status":"ok"}'

        begun = time.perf_counter()
        answer = serving.exchange(port, serving.request("GET", f"/pxe/{MAC}"))
        taken = time.perf_counter() - begun

    assert b"#!ipxe" in answer
    assert taken < 1


def test_half_sent_requests_delay_no_contact(server: Site, quick_dir: Path) -> None:
    with serving.listening(server.app, quick_dir, threads=4) as port, ExitStack() as stack:
        for _ in range(24):
            line = stack.enter_context(closing(serving.connected(port)))
            line.sendall(
                f"POST /pxe/{MAC}/inventory HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"
                "{".encode()
            )

        answer = serving.exchange(port, serving.request("GET", f"/pxe/{MAC}"))

    assert b"#!ipxe" in answer


# -- start and stop ---------------------------------------------------------------------------


class Gate:
    """An application whose request waits until it is let go."""

    def __init__(self, size: int = 2) -> None:
        self.entered, self.go = threading.Event(), threading.Event()
        self.size = size

    def __call__(self, _environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        self.entered.set()
        assert self.go.wait(10)
        start("200 OK", [("Content-Length", str(self.size))])
        return [b"x" * self.size]


def started(app: Wsgi, spool_dir: Path) -> tuple[http.HttpWorker, threading.Thread, int]:
    listener = http.bind("127.0.0.1", 0)
    worker = http.HttpWorker(app, listener, threads=2, max_body_bytes=1000, spool_dir=spool_dir)
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    return worker, thread, listener.getsockname()[1]


@pytest.mark.usefixtures("own_tempdir")
@pytest.mark.parametrize("size", [2, 20 * 2**20])
def test_a_stop_finishes_the_request_under_way(quick_dir: Path, size: int) -> None:
    gate = Gate(size)
    worker, thread, port = started(gate, quick_dir)
    with closing(serving.connected(port)) as line:
        line.sendall(serving.request("GET", "/"))
        assert gate.entered.wait(10)

        worker.stop()
        gate.go.set()
        answer = b""
        while part := line.recv(2**20):
            answer += part

    thread.join(10)
    assert not thread.is_alive()
    assert answer.partition(b"\r\n\r\n")[2] == b"x" * size


@pytest.mark.usefixtures("own_tempdir")
def test_a_stop_does_not_wait_for_idle_connections_and_frees_the_port(quick_dir: Path) -> None:
    gate = Gate()
    gate.go.set()
    worker, thread, port = started(gate, quick_dir)
    with closing(HTTPConnection("127.0.0.1", port, timeout=10)) as idle:
        idle.request("GET", "/")
        assert idle.getresponse().read() == b"xx"

        begun = time.perf_counter()
        worker.stop()
        thread.join(10)

    assert time.perf_counter() - begun < 2
    http.bind("127.0.0.1", port).close()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), 1)


@pytest.mark.usefixtures("own_tempdir")
def test_a_request_that_never_ends_does_not_hold_up_the_stop(
    quick_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "DRAIN_SECONDS", 0.3)
    gate = Gate()
    worker, thread, port = started(gate, quick_dir)
    with closing(serving.connected(port)) as line:
        line.sendall(serving.request("GET", "/"))
        assert gate.entered.wait(10)

        worker.stop()
        thread.join(5)

        assert not thread.is_alive()
    gate.go.set()


def test_a_port_in_use_is_a_conflict_that_names_it() -> None:
    with closing(http.bind("127.0.0.1", 0)) as taken:
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(ConflictError, match=rf"127\.0\.0\.1 port {port} is in use"):
            http.bind("127.0.0.1", port)


def test_an_address_that_is_not_ours_is_a_mistake_in_the_configuration() -> None:
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1 port 8080 cannot be listened on"):
        http.bind("192.0.2.1", 8080)


def test_an_ipv6_address_is_listened_on() -> None:
    with closing(http.bind("::1", 0)) as listener:
        assert listener.family is socket.AF_INET6


class Sends:
    """What went out: from which thread, and what the socket loop knew to be pending."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[tuple[str, int, bytes]] = []
        send = http._Channel.send

        def watched(channel: Any, data: bytes, *, do_close: bool = True) -> Any:
            thread = threading.current_thread().name
            self.seen.append((thread, channel.total_outbufs_len, bytes(data)))
            return send(channel, data, do_close=do_close)

        monkeypatch.setattr(http._Channel, "send", watched)


def test_an_answer_goes_out_whole_before_the_socket_loop_hears_of_it(
    server: Site, quick_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes that the loop knows of make it spin on the socket that a thread is sending on."""
    sends = Sends(monkeypatch)

    with serving.listening(server.app, quick_dir) as port:
        serving.exchange(port, serving.request("GET", f"/pxe/{MAC}"))

    [(thread, pending, data)] = sends.seen
    assert thread.startswith("waitress-")
    assert pending == 0
    assert data.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\n\r\n#!ipxe\n" in data


def test_a_file_is_sent_by_the_socket_loop_alone(
    server: Site, quick_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sends = Sends(monkeypatch)

    with serving.listening(server.app, quick_dir) as port:
        serving.exchange(port, serving.request("GET", f"/boot/{KERNEL}"))

    assert sends.seen
    assert not [thread for thread, _pending, _data in sends.seen if thread.startswith("waitress-")]

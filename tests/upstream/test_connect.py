"""Names that nobody resolves, and addresses of which only some answer."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bty_app.errors import UnavailableError
from bty_app.upstream import connect
from bty_app.upstream.http import Http
from tests.other_host import OtherHost, answer, other_host

resolve = socket.getaddrinfo


@pytest.fixture
def host() -> Iterator[OtherHost]:
    with other_host() as running:
        running.routes["/a"] = answer(b"here")
        yield running


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def name_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """One that is silent about names: whom it was asked for."""
    asked: list[str] = []
    over = threading.Event()

    def silent(name: str, port: int, **more: int) -> object:
        if name == "127.0.0.1":
            return resolve(name, port, **more)
        asked.append(name)
        over.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    yield asked
    over.set()
    for thread in threading.enumerate():
        if thread.name == "http-name":
            thread.join(10)


def get(url: str, seconds: float, http: Http | None = None) -> bytes:
    return (http or Http()).get(url, limit=100, seconds=seconds)


@pytest.mark.usefixtures("name_server")
def test_a_dead_name_server_is_named_in_time(host: OtherHost) -> None:
    began = time.monotonic()

    with pytest.raises(UnavailableError) as caught:
        get("http://files.example/a", 0.3)

    assert time.monotonic() - began < 2
    assert caught.value.message == (
        "http://files.example/a cannot be fetched: the name server does not answer"
    )
    assert get(host.url("/a"), 5) == b"here"


def test_a_dead_name_server_holds_few_threads(
    name_server: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "MAX_LOOKUPS", 2)
    http = Http()

    for number in range(4):
        with pytest.raises(UnavailableError, match="the name server does not answer"):
            get(f"http://{number}.example/a", 0.1, http)

    assert name_server == ["0.example", "1.example"]


def test_a_name_that_is_not_known_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_args: object, **_more: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    http = Http()

    for _ in range(connect.MAX_LOOKUPS + 1):
        with pytest.raises(UnavailableError, match="cannot be fetched: Name or service not known"):
            get("http://files.example/a", 5, http)


@contextmanager
def mute_port() -> Iterator[int]:
    """A port that takes no more connections and refuses none."""
    with contextlib.ExitStack() as closing:
        listener = closing.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = closing.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def test_an_address_that_does_not_answer_leaves_time_for_the_next(
    host: OtherHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mute_port() as mute:

        def two(_name: str, _port: int, **more: int) -> object:
            return [*resolve("127.0.0.1", mute, **more), *resolve("127.0.0.1", host.port, **more)]

        monkeypatch.setattr(socket, "getaddrinfo", two)

        assert get("http://files.example/a", 1.0) == b"here"


def test_addresses_that_do_not_answer_are_given_up_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with mute_port() as mute:
        many = resolve("127.0.0.1", mute, type=socket.SOCK_STREAM) * 8
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_more: many)
        began = time.monotonic()

        with pytest.raises(UnavailableError, match="did not answer in time"):
            get("http://files.example/a", 0.5)

        assert time.monotonic() - began < 2

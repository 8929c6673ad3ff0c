"""Other people's servers, at their worst."""

from __future__ import annotations

import base64
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.errors import InvalidInputError, TooLargeError, UnavailableError
from bty_app.upstream.http import MAX_REDIRECTS, Http
from tests.other_host import OtherHost, answer, other_host, raw, redirect

SHORT = 0.4
PATIENT = 20.0


@pytest.fixture
def host() -> Iterator[OtherHost]:
    with other_host() as started:
        yield started


def get(url: str, *, limit: int = 1000, seconds: float = PATIENT) -> bytes:
    return Http(agent="bty/test").get(url, limit=limit, seconds=seconds)


def test_a_body_comes_back_whole(host: OtherHost) -> None:
    host.routes["/a"] = answer(b"x" * 1000)

    assert get(host.url("/a")) == b"x" * 1000


def test_a_request_says_who_asks_and_wants_plain_bytes(host: OtherHost) -> None:
    host.routes["/a b"] = host.routes["/a%20b"] = answer(b"")

    get(host.url("/a b?q=1#part"))

    (head,) = host.heads
    assert head.startswith("GET /a%20b?q=1 HTTP/1.1\r\n")
    assert "User-Agent: bty/test\r\n" in head
    assert "Accept-Encoding: identity\r\n" in head


def test_a_body_without_a_length_ends_with_the_connection(host: OtherHost) -> None:
    host.routes["/a"] = raw(b"HTTP/1.0 200 OK\r\n\r\nall of it")

    assert get(host.url("/a")) == b"all of it"


def test_a_chunked_body_comes_back_whole(host: OtherHost) -> None:
    host.routes["/a"] = raw(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nall\r\n4\r\n of \r\n0\r\n\r\n"
    )

    assert get(host.url("/a")) == b"all of "


def test_a_body_over_the_limit_is_refused_before_it_is_read(host: OtherHost) -> None:
    host.routes["/a"] = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n")

    with pytest.raises(TooLargeError, match="larger than"):
        get(host.url("/a"))


@pytest.mark.parametrize("head", [b"", b"Transfer-Encoding: chunked\r\n"])
def test_a_body_that_hides_its_length_is_refused_at_the_limit(host: OtherHost, head: bytes) -> None:
    def send(client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
        while True:  # the client hangs up
            client.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")

    host.routes["/a"] = send

    with pytest.raises(TooLargeError):
        get(host.url("/a"))


BROKEN = {
    "cut short": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
    "cut chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nshort",
    "bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "nothing": b"",
    "endless line": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
    "compressed": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_answer_is_unavailable_with_a_sentence(host: OtherHost, kind: str) -> None:
    host.routes["/a"] = raw(BROKEN[kind])

    with pytest.raises(UnavailableError) as caught:
        get(host.url("/a"))

    assert host.url("/a") in caught.value.message
    assert "0x" not in caught.value.message
    assert len(caught.value.message) < 500


@pytest.mark.parametrize("status", ["500 Oops", "404 Not Found", "204 No Content", "206 Partial"])
def test_any_status_but_200_is_unavailable(host: OtherHost, status: str) -> None:
    host.routes["/a"] = answer(b"", status=status)

    with pytest.raises(UnavailableError, match=f"answers {status[:3]}"):
        get(host.url("/a"))


# -- time --------------------------------------------------------------------------------------


def silent_in_many_ways(host: OtherHost) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"
    host.routes["/says-nothing"] = host.silence
    host.routes["/drips-its-head"] = host.drip(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 99)
    host.routes["/drips-its-body"] = host.drip(b"x" * 900, first=head)
    host.routes["/drips-without-length"] = host.drip(b"x" * 900, first=b"HTTP/1.0 200 OK\r\n\r\n")
    host.routes["/drips-a-chunk"] = host.drip(
        b"x" * 900, first=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n384\r\n"
    )
    host.routes["/redirects-slowly"] = redirect("/says-nothing")


WAYS = [
    *("/says-nothing", "/drips-its-head", "/drips-its-body", "/drips-without-length"),
    *("/drips-a-chunk", "/redirects-slowly"),
]


@pytest.mark.parametrize("path", WAYS)
def test_the_deadline_holds_however_slowly_the_bytes_come(host: OtherHost, path: str) -> None:
    silent_in_many_ways(host)
    began = time.monotonic()

    with pytest.raises(UnavailableError, match="did not answer in time"):
        get(host.url(path), seconds=SHORT)

    assert time.monotonic() - began < SHORT + 2.0


def test_a_tls_handshake_is_not_waited_for_beyond_its_time(host: OtherHost) -> None:
    with pytest.raises(UnavailableError, match="did not answer in time"):
        get(host.url("/a").replace("http:", "https:"), seconds=SHORT)


def test_no_timer_is_left_behind(host: OtherHost) -> None:
    host.routes["/a"] = answer(b"x")
    get(host.url("/a"))

    left = [t for t in threading.enumerate() if t.name == "http-deadline"]

    for timer in left:
        timer.join(2.0)
    assert not any(timer.is_alive() for timer in left)


# -- redirects ---------------------------------------------------------------------------------


def test_redirects_are_followed_relative_and_absolute(host: OtherHost) -> None:
    host.routes["/1"] = redirect("2")
    host.routes["/2"] = redirect(host.url("/3"))
    host.routes["/3"] = answer(b"here")

    assert get(host.url("/1")) == b"here"


def test_a_ring_of_redirects_ends(host: OtherHost) -> None:
    host.routes["/1"] = redirect("/2")
    host.routes["/2"] = redirect("/1")

    with pytest.raises(UnavailableError, match="redirects more than"):
        get(host.url("/1"))

    assert len(host.heads) == MAX_REDIRECTS + 1


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "ftp://h/a", "gopher://h/", "http://[::1/", "http://h:x/"],
)
def test_a_redirect_to_anything_but_http_is_refused(host: OtherHost, location: str) -> None:
    host.routes["/a"] = redirect(location)

    with pytest.raises(UnavailableError, match="which is refused"):
        get(host.url("/a"))


def test_a_password_goes_to_its_host_and_no_further(host: OtherHost) -> None:
    with other_host() as second:
        host.routes["/1"] = redirect("/2")
        host.routes["/2"] = redirect(second.url("/3"))
        second.routes["/3"] = answer(b"here")

        get(f"http://me:p%40w@127.0.0.1:{host.port}/1")

        token = base64.b64encode(b"me:p@w").decode()
        assert [f"Authorization: Basic {token}" in head for head in host.heads] == [True, True]
        assert "Authorization" not in second.heads[0]


def test_a_password_is_in_no_error(host: OtherHost) -> None:
    with pytest.raises(UnavailableError) as caught:
        get(f"http://me:secret@127.0.0.1:{host.port}/none")

    assert "secret" not in caught.value.message


# -- addresses ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["", "x", "file:///etc/passwd", "ftp://h/a", "http://", "http://h:x/a", "http://[::1/a"],
)
def test_what_is_no_http_url_is_invalid_input(url: str) -> None:
    with pytest.raises(InvalidInputError):
        get(url)


def test_a_closed_port_is_unavailable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers
        port = taken.getsockname()[1]

        with pytest.raises(UnavailableError, match=r"Connection refused"):
            get(f"http://127.0.0.1:{port}/a")


@given(st.text(max_size=30), st.text(st.sampled_from("a.:@[]%é\u2100/?#\\ \t\n0"), max_size=20))
def test_any_text_is_invalid_input_or_unavailable(text: str, authority: str) -> None:
    for url in (text, f"http://127.0.0.1:1/{text}", f"http://127.0.0.1:1{authority}"):
        with pytest.raises((InvalidInputError, UnavailableError)):
            get(url, seconds=2.0)


def test_too_many_exchanges_at_once_are_refused(host: OtherHost) -> None:
    http = Http(at_once=1)
    entered = threading.Event()
    leave = threading.Event()

    def send(client: socket.socket) -> None:
        entered.set()
        leave.wait()
        answer(b"first")(client)

    host.routes["/slow"] = send
    host.routes["/a"] = answer(b"second")
    found: list[bytes] = []
    first = threading.Thread(
        target=lambda: found.append(http.get(host.url("/slow"), limit=10, seconds=PATIENT))
    )
    first.start()
    entered.wait()

    with pytest.raises(UnavailableError, match="too many"):
        http.get(host.url("/a"), limit=10, seconds=PATIENT)

    leave.set()
    first.join()
    assert found == [b"first"]
    assert http.get(host.url("/a"), limit=10, seconds=PATIENT) == b"second"


# -- sizes -------------------------------------------------------------------------------------


def size(url: str, *, seconds: float = PATIENT) -> int | None:
    return Http().size(url, seconds=seconds)


def test_a_head_tells_the_size_through_redirects(host: OtherHost) -> None:
    host.routes["/1"] = redirect("/2")
    host.routes["/2"] = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 123456789012\r\n\r\n")

    assert size(host.url("/1")) == 123_456_789_012
    assert all(head.startswith("HEAD ") for head in host.heads)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 405 No\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n",
        b"",
    ],
)
def test_a_size_that_is_not_told_is_none(host: OtherHost, data: bytes) -> None:
    host.routes["/a"] = raw(data)

    assert size(host.url("/a")) is None


def test_a_size_is_not_waited_for_beyond_its_time(host: OtherHost) -> None:
    host.routes["/a"] = host.silence

    assert size(host.url("/a"), seconds=SHORT) is None

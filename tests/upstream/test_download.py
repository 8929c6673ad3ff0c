"""Large bodies: at their pace, in parts, whole or with one clear sentence."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bty_app.errors import BtyError, TooLargeError, UnavailableError
from bty_app.upstream.http import Http, Pace, Request, StatusError
from tests.file_host import FileHost, file_host
from tests.other_host import Answer, OtherHost, answer, other_host, raw, redirect

DATA = os.urandom(300_000)
LIMIT = 10**6
QUICK = Pace(least_bytes=1000, seconds=0.2)


@pytest.fixture
def host() -> Iterator[OtherHost]:
    with other_host() as running:
        yield running


@pytest.fixture
def files() -> Iterator[FileHost]:
    with file_host(image=DATA) as running:
        yield running


def fetched(url: str, *, limit: int = LIMIT, pace: Pace = QUICK, **headers: str) -> bytes:
    with Http().download(Request(url, headers=headers), limit=limit, pace=pace) as body:
        return b"".join(body.chunks())


def test_a_file_arrives_whole(files: FileHost) -> None:
    with Http().download(Request(files.url("/image")), limit=LIMIT) as body:
        assert (body.status, body.offset, body.total) == (200, 0, len(DATA))
        assert b"".join(body.chunks()) == DATA


def test_the_rest_of_a_file_arrives_alone(files: FileHost) -> None:
    request = Request(files.url("/image"), headers={"Range": "bytes=299990-"})

    with Http().download(request, limit=LIMIT) as body:
        assert (body.status, body.offset, body.total) == (206, 299990, len(DATA))
        assert b"".join(body.chunks()) == DATA[299990:]


def test_a_status_without_a_body_is_told(files: FileHost) -> None:
    with pytest.raises(StatusError, match="answers 404, not 200") as missing:
        fetched(files.url("/none"))
    with pytest.raises(StatusError) as past_the_end:
        fetched(files.url("/image"), Range="bytes=300000-")

    assert (missing.value.status, past_the_end.value.status) == (404, 416)


def test_a_body_that_breaks_off_says_where(files: FileHost) -> None:
    files.die_after = 100_000

    with pytest.raises(UnavailableError, match=r"broke off after \d+ of 300000 bytes"):
        fetched(files.url("/image"))


def test_silence_in_the_middle_is_a_stall(files: FileHost) -> None:
    files.stall_after = 100_000

    with pytest.raises(UnavailableError, match=r"fewer than 1000 bytes came in 0\.2 seconds"):
        fetched(files.url("/image"))


def test_a_byte_now_and_then_is_a_stall(host: OtherHost) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    host.routes["/x"] = host.drip(b"x" * 1000, first=head)

    with pytest.raises(UnavailableError, match="fewer than 1000 bytes"):
        fetched(host.url("/x"))


def endless(head: bytes, part: bytes) -> Answer:
    def send(client: socket.socket) -> None:
        client.sendall(head)
        while True:  # until the other side hangs up
            client.sendall(part)

    return send


OK = b"HTTP/1.1 200 OK\r\n"
CASES: list[tuple[str, Answer, str]] = [
    ("ten GB, declared", raw(OK + b"Content-Length: 10000000000\r\n\r\n"), "larger than"),
    ("ten GB, not declared", endless(OK + b"\r\n", b"x" * 100_000), "larger than"),
    (
        "ten GB in chunks",
        endless(
            OK + b"Transfer-Encoding: chunked\r\n\r\n", b"186a0\r\n" + b"x" * 100_000 + b"\r\n"
        ),
        "larger than",
    ),
    ("an end before its time", raw(OK + b"Content-Length: 9\r\n\r\nabc"), "after 3 of 9 bytes"),
    (
        "chunks that break off",
        raw(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
        "broke off",
    ),
    (
        "chunks of nonsense",
        raw(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n"),
        "broke off",
    ),
    ("compression", answer(b"abc", Content_Encoding="gzip"), "compressed"),
    (
        "a chunk's head without end",
        endless(OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x" * 100_000),
        "broke off after 0 bytes",
    ),
    (
        "trailers without end",
        endless(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"A: b\r\n" * 1000),
        "broke off after 0 bytes: fewer than 1000 bytes",
    ),
    ("another scheme", redirect("file:///etc/passwd"), "redirects to 'file:///etc/passwd'"),
    ("a loop", redirect("/x"), "redirects more than 5 times"),
    ("no answer", raw(b""), "cannot be fetched"),
    ("headers without end", endless(OK, b"A: " + b"b" * 1000 + b"\r\n"), "cannot be fetched"),
    ("a status line without end", endless(b"HTTP/1.1 200 ", b"x" * 100_000), "cannot be fetched"),
    ("100 for ever", endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "did not answer in time"),
]


@pytest.mark.parametrize(("told", "sentence"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_a_bad_answer_is_one_sentence(host: OtherHost, told: Answer, sentence: str) -> None:
    host.routes["/x"] = told

    with pytest.raises((UnavailableError, TooLargeError), match=sentence):
        fetched(host.url("/x"))


def test_silence_instead_of_headers_ends(host: OtherHost) -> None:
    host.routes["/x"] = host.silence

    with pytest.raises(UnavailableError, match="did not answer in time"):
        fetched(host.url("/x"))


def test_an_answer_of_any_status_can_be_read(host: OtherHost) -> None:
    host.routes["/x"] = answer(b"who are you", status="401 Unauthorized", X_Realm="r")

    found = Http().ask(Request(host.url("/x")), limit=100, seconds=5)

    assert (found.status, found.body, found.headers.get("x-realm")) == (401, b"who are you", "r")


def test_credentials_stay_at_their_origin(host: OtherHost) -> None:
    with other_host() as elsewhere:
        elsewhere.routes["/blob"] = answer(b"bytes")
        host.routes["/here"] = redirect("/still")
        host.routes["/still"] = redirect(elsewhere.url("/blob"))
        headers = {"Authorization": "Bearer secret", "Cookie": "a=b", "X-Kept": "yes"}

        found = Http().ask(Request(host.url("/here"), headers=headers), limit=100, seconds=5)

        assert found.body == b"bytes"
        assert all("Bearer secret" in head and "a=b" in head for head in host.heads)
        assert "secret" not in elsewhere.heads[0]
        assert "Cookie" not in elsewhere.heads[0]
        assert "X-Kept: yes" in elsewhere.heads[0]


def test_what_is_posted_is_not_sent_to_another_place(host: OtherHost) -> None:
    host.routes["/x"] = redirect("/y")

    with pytest.raises(UnavailableError, match="redirects a POST"):
        Http().ask(Request(host.url("/x"), "POST", body=b"{}"), limit=100, seconds=5)
    assert len(host.heads) == 1


def test_who_waits_for_a_place_gets_it(host: OtherHost) -> None:
    http, inside, go = Http(at_once=1, wait_seconds=10), threading.Event(), threading.Event()

    def slow(client: socket.socket) -> None:
        inside.set()
        assert go.wait(10)
        answer(b"slow")(client)

    host.routes["/slow"] = slow
    host.routes["/x"] = answer(b"quick")
    first = threading.Thread(target=lambda: http.get(host.url("/slow"), limit=9, seconds=10))
    first.start()
    assert inside.wait(10)
    impatient = Http(at_once=1)
    assert impatient.get(host.url("/x"), limit=9, seconds=5) == b"quick"
    threading.Timer(0.05, go.set).start()

    assert http.get(host.url("/x"), limit=9, seconds=5) == b"quick"
    first.join(10)


# -- parts -------------------------------------------------------------------------------------


def part(told: str) -> Answer:
    return answer(b"abc", status="206 Partial Content", Content_Range=told)


@pytest.mark.parametrize(
    ("asked", "told", "offset", "total"),
    [
        ("bytes=5-", "bytes 5-7/8", 5, 8),
        ("bytes=5-", "bytes 5-7/*", 5, None),
        ("bytes=0-2", "bytes 0-2/8", 0, 8),
        ("bytes=5-99", "bytes 5-7/8", 5, 8),
    ],
)
def test_a_part_that_was_asked_for_arrives(
    host: OtherHost, asked: str, told: str, offset: int, total: int | None
) -> None:
    host.routes["/x"] = part(told)

    with Http().download(Request(host.url("/x"), headers={"range": asked}), limit=99) as body:
        assert (body.offset, body.total) == (offset, total)
        assert b"".join(body.chunks()) == b"abc"


@pytest.mark.parametrize(
    ("asked", "told", "sentence"),
    [
        ("bytes=5-", "", "a part without saying which"),
        ("bytes=5-", "bytes 5-7", "a part without saying which"),
        ("bytes=5-", "bytes 5-7/8, bytes 1-2/8", "a part without saying which"),
        ("bytes=5-", "bytes 5-7/6", "a part that cannot be: 'bytes 5-7/6'"),
        ("bytes=5-", "bytes 7-5/8", "a part that cannot be"),
        ("bytes=5-", "bytes 5-4/8", "a part that cannot be"),
        ("bytes=5-", "bytes 5-8/9", "a part that cannot be"),  # its length is 3
        ("bytes=5-", "bytes 4-6/7", "another part than was asked for: 'bytes 4-6/7'"),
        ("bytes=5-", "bytes 5-7/9", "another part than was asked for"),
        ("bytes=5-6", "bytes 5-7/8", "another part than was asked for"),
        ("none", "bytes 0-2/3", "another part than was asked for"),
    ],
)
def test_any_other_part_is_refused(host: OtherHost, asked: str, told: str, sentence: str) -> None:
    host.routes["/x"] = part(told)

    with pytest.raises(UnavailableError, match=sentence):
        fetched(host.url("/x"), Range=asked)


@pytest.mark.parametrize("sent", [b"2\r\nab\r\n0\r\n\r\n", b"4\r\nabcd\r\n0\r\n\r\n"])
def test_a_part_is_as_long_as_it_declares(host: OtherHost, sent: bytes) -> None:
    head = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-7/8\r\n"
    host.routes["/x"] = raw(head + b"Transfer-Encoding: chunked\r\n\r\n" + sent)

    with pytest.raises(UnavailableError, match=r"after \d of 8 bytes: it is not as long as it"):
        fetched(host.url("/x"), Range="bytes=5-")


def test_a_part_of_a_file_over_the_limit_is_refused(host: OtherHost) -> None:
    host.routes["/x"] = part("bytes 0-2/1000001")

    with pytest.raises(TooLargeError, match="larger than 976 KiB"):
        fetched(host.url("/x"), Range="bytes=0-2")


def test_the_rest_is_asked_for_also_where_a_redirect_leads(files: FileHost) -> None:
    with other_host() as first:
        first.routes["/x"] = redirect(files.url("/image"))

        assert fetched(first.url("/x"), Range="bytes=299000-") == DATA[299000:]


# -- pace --------------------------------------------------------------------------------------


def test_slow_is_no_stall_while_it_keeps_the_pace(host: OtherHost) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n"
    host.routes["/x"] = host.drip(b"x" * 40, first=head)

    assert fetched(host.url("/x"), pace=Pace(least_bytes=1, seconds=0.3)) == b"x" * 40


def test_a_reader_that_takes_its_time_is_no_stall(files: FileHost) -> None:
    pace = Pace(least_bytes=1000, seconds=0.1)
    busy = threading.Event()

    with Http().download(Request(files.url("/image")), limit=LIMIT, pace=pace) as body:
        chunks = body.chunks()
        first = next(chunks)
        assert not busy.wait(0.8)
        assert first + b"".join(chunks) == DATA


def test_a_stall_after_a_pause_of_the_reader_is_one(files: FileHost) -> None:
    files.stall_after = 100_000
    busy = threading.Event()

    with Http().download(Request(files.url("/image")), limit=LIMIT, pace=QUICK) as body:
        chunks = body.chunks()
        next(chunks)
        assert not busy.wait(0.5)
        with pytest.raises(UnavailableError, match="after 100000 of 300000 bytes: fewer than"):
            list(chunks)


# -- what is left ------------------------------------------------------------------------------


def ours() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("http-")]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def eventually(fact: Callable[[], bool]) -> bool:
    """The other host's threads, and our cancelled timers, end a moment after the answer."""
    end = time.monotonic() + 10
    while not fact() and time.monotonic() < end:
        threading.Event().wait(0.01)
    return fact()


def test_failures_leave_no_thread_and_no_socket_behind(host: OtherHost) -> None:
    host.routes["/short"] = raw(OK + b"Content-Length: 9\r\n\r\nabc")
    host.routes["/zipped"] = answer(b"abc", Content_Encoding="gzip")
    host.routes["/away"] = redirect("file:///etc/passwd")
    host.routes["/none"] = raw(b"")
    acts: list[Callable[[str], object]] = [
        fetched,
        lambda url: Http().get(url, limit=9, seconds=5),
        lambda url: Http().get(url.replace("http:", "https:"), limit=9, seconds=0.05),
    ]
    before = open_files()

    for number in range(60):
        path = ("/short", "/zipped", "/away", "/none", "/missing")[number % 5]
        with pytest.raises(BtyError):
            acts[number % 3](host.url(path))

    assert eventually(lambda: not ours()), ours()
    assert eventually(lambda: open_files() <= before), (before, open_files())


def test_a_download_that_nobody_finishes_leaves_nothing_behind(files: FileHost) -> None:
    before = open_files()

    for _ in range(20):
        with Http().download(Request(files.url("/image")), limit=LIMIT):
            pass
        with Http().download(Request(files.url("/image")), limit=LIMIT) as body:
            chunks = body.chunks()
            next(chunks)
            del chunks

    assert eventually(lambda: not ours()), ours()
    assert eventually(lambda: open_files() <= before), (before, open_files())

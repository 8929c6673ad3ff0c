"""Servers that are less than a WebDAV server should be; the real one is in tests/services."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from bty_app.domain.offsite import WebTarget
from bty_app.domain.place import Content
from bty_app.errors import (
    InvalidInputError,
    NotAllowedError,
    StorageError,
    UnavailableError,
)
from bty_app.upstream.http import Http
from bty_app.upstream.webdav import WebFolder
from bty_app.upstream.xml_answer import parsed
from tests.other_host import Answer, OtherHost, answer, other_host

DATA = b"x" * 300_000


@pytest.fixture
def host() -> Iterator[OtherHost]:
    with other_host() as started:
        yield started


def folder(host: OtherHost) -> WebFolder:
    return WebFolder(Http(), WebTarget(host.url("/b")), "me", "pw")


def content() -> Content:
    return Content(len(DATA), lambda: (DATA[at : at + 1000] for at in range(0, len(DATA), 1000)))


def by_method(host: OtherHost, **answers: Answer) -> Answer:
    """Answers by the method of the request."""

    def send(client: socket.socket) -> None:
        head = host.heads[-1]
        method = head.split(" ", 1)[0]
        if method == "PUT":
            read_body(client, len(head.partition("\r\n\r\n")[2]))
        answers.get(method, answer(status="405 Method Not Allowed"))(client)

    return send


def read_body(client: socket.socket, so_far: int) -> None:
    left = len(DATA) - so_far
    while left > 0 and (data := client.recv(65536)):
        left -= len(data)


def methods(host: OtherHost) -> list[str]:
    return [head.split(" ", 1)[0] for head in host.heads]


def test_a_server_that_takes_only_put_is_used_and_said_to_be_so(host: OtherHost) -> None:
    host.routes["/b/id/f"] = by_method(host, PUT=answer(status="201 Created"))
    place = folder(host)

    place.put("id/f", content(), lambda: True)

    assert methods(host)[-1] == "PUT"
    assert "MOVE" not in methods(host)
    assert "no WebDAV server" in place.note
    assert f"Content-Length: {len(DATA)}" in host.heads[-1]
    with pytest.raises(InvalidInputError, match="cannot list"):
        place.listed()
    assert place.abandoned() == []


def test_a_server_that_cannot_move_gets_the_file_under_its_name(host: OtherHost) -> None:
    host.routes["/b/"] = answer(DAV="1")
    host.routes["/b/id/"] = answer(status="201 Created")
    host.routes["/b/id/f"] = by_method(host, PUT=answer(status="201 Created"))
    host.routes["/b/id/.tmp-f"] = by_method(
        host, PUT=answer(status="201 Created"), MOVE=answer(status="502 Bad Gateway"),
        DELETE=answer(status="204 No Content"),
    )  # fmt: skip
    place = folder(host)

    place.put("id/f", content(), lambda: True)
    first = methods(host)
    place.put("id/f", content(), lambda: True)

    assert [m for m in first if m in {"PUT", "MOVE", "DELETE"}] == ["PUT", "MOVE", "DELETE", "PUT"]
    assert methods(host)[len(first) :].count("PUT") == 1
    assert "cannot move" in place.note


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        ("507 Insufficient Storage", StorageError, "no room"),
        ("401 Unauthorized", NotAllowedError, "user or the password"),
        ("403 Forbidden", NotAllowedError, "rights"),
        ("500 Oops", UnavailableError, "answers 500"),
        ("307 Temporary Redirect", UnavailableError, "redirects a PUT"),
    ],
)
def test_a_refusal_that_comes_before_all_was_sent_is_read(
    host: OtherHost, status: str, error: type[Exception], words: str
) -> None:
    """The server answers at once and hangs up, with the body on its way."""
    host.routes["/b/id/f"] = answer(status=status, Location="/elsewhere")

    with pytest.raises(error, match=words) as failure:
        folder(host).put("id/f", content(), lambda: True)
    assert "pw" not in str(failure.value)


def test_a_server_that_hangs_up_is_a_failure(host: OtherHost) -> None:
    host.routes["/b/id/f"] = lambda client: None

    with pytest.raises(UnavailableError, match="cannot be written"):
        folder(host).put("id/f", content(), lambda: True)


def test_a_failure_of_the_source_is_told_as_it_is(host: OtherHost) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x"
        raise StorageError("the disk is broken")

    host.routes["/b/id/f"] = host.silence

    with pytest.raises(StorageError, match="the disk is broken"):
        folder(host).put("id/f", Content(100, broken), lambda: True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<a",
        b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
        "<!DOCTYPE a><a/>".encode("utf-16"),
        b"<a>&b;</a>",
        b"\xff\xfe",
    ],
)
def test_xml_that_is_none_or_brings_entities_is_refused(body: bytes) -> None:
    with pytest.raises(UnavailableError):
        parsed(body, "host")


def test_a_list_says_only_what_is_below_the_folder(host: OtherHost) -> None:

    def row(href: str, more: str) -> str:
        return (
            f"<r:response><r:href>{href}</r:href><r:propstat><r:prop>{more}</r:prop>"
            "<r:status>HTTP/1.1 200 OK</r:status></r:propstat></r:response>"
        )

    folders = "<r:resourcetype><r:collection/></r:resourcetype>"
    top = row("/b/", folders) + row("/etc/", folders) + row("http://h/b/id%20x/", folders)
    below = row("/b/id%20x/", folders) + row(
        "/b/id%20x/f", "<r:getcontentlength>7</r:getcontentlength>"
    )
    below += row("/b/id%20x/g", "<r:getcontentlength>many</r:getcontentlength>")
    below += row("/b/id%20x/.tmp-h", "<r:getcontentlength>7</r:getcontentlength>")

    def xml(rows: str) -> Answer:
        body = f'<r:multistatus xmlns:r="DAV:">{rows}</r:multistatus>'.encode()
        return answer(body, status="207 Multi-Status", DAV="1")

    host.routes["/b/"] = xml(top)
    host.routes["/b/id%20x/"] = xml(below)
    place = folder(host)

    assert [(s.name, s.size) for s in place.listed()] == [("id x/f", 7), ("id x/g", -1)]
    assert place.abandoned() == ["id x/.tmp-h"]

"""A large file in a form is taken as it comes."""

from __future__ import annotations

import tracemalloc
from typing import Any

import falcon
import falcon.testing
import pytest

from bty_app.errors import TooLargeError, ValidationError
from bty_app.web.uploads import Arriving, arriving, sent_name
from tests.web.site import BOUNDARY, multipart

SIZE = 400 * 2**20


class Line:
    """A connection that brings a form with a file of `size` bytes, made as it is read."""

    def __init__(self, size: int, *before: tuple[str, str | None, bytes]) -> None:
        head, tail = multipart(*before, ("file", "set.tar", b"|")).split(b"|")
        self.length = len(head) + size + len(tail)
        self._parts = [head, tail]
        self._left = size
        self.asked = 0

    def read(self, size: int = -1) -> bytes:
        """At most 64 KiB at a time, as from a socket."""
        size = min(size if size >= 0 else self.length, 65536)
        if self._left == 0 or (len(self._parts) == 2 and self._parts[0]):
            index = 0 if self._parts[0] else 1
            part, self._parts[index] = self._parts[index][:size], self._parts[index][size:]
        else:
            part = b"x" * min(size, self._left)
            self._left -= len(part)
        self.asked += len(part)
        return part


def request(line: Line) -> falcon.Request:
    environ: dict[str, Any] = falcon.testing.create_environ(
        method="POST",
        headers={
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
            "Content-Length": str(line.length),
        },
    )
    environ["wsgi.input"] = line
    return falcon.Request(environ)


def taken(line: Line, limit: int = 2 * SIZE) -> Arriving:
    def check(token: str) -> None:
        if token != "ours":
            raise falcon.HTTPForbidden

    return arriving(request(line), "file", limit=limit, check_token=check)


def test_a_file_passes_through_in_little_memory() -> None:
    line = Line(SIZE, ("csrf_token", None, b"ours"))
    tracemalloc.start()

    file = taken(line)
    read = 0
    while chunk := file.stream.read(2**20):
        read += len(chunk)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert (file.name, read) == ("set.tar", SIZE)
    assert peak < 8 * 2**20


def test_of_a_form_without_the_token_next_to_nothing_is_read() -> None:
    for before in ((), (("csrf_token", None, b"made up"),)):
        line = Line(SIZE, *before)

        with pytest.raises(falcon.HTTPForbidden):
            taken(line)

        assert line.asked < 2**20


def test_a_form_that_is_too_long_is_refused_before_it_is_read() -> None:
    line = Line(SIZE, ("csrf_token", None, b"ours"))

    with pytest.raises(TooLargeError):
        taken(line, limit=SIZE)

    assert line.asked == 0


def test_a_token_of_any_length_is_not_kept() -> None:
    line = Line(10, ("csrf_token", None, b"x" * 3 * 2**20))

    with pytest.raises(ValidationError, match="cannot be read"):
        taken(line)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("set.tar", "set.tar"),
        ("/srv/sets/set.tar", "set.tar"),
        ("C:\\sets\\set.tar", "set.tar"),
        ("a\x1b[2J\u2028b", "a\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}b"),
        ("../..", ".."),
        ("x/", "an upload"),
        ("n" * 300, "n" * 200),
    ],
)
def test_what_a_sender_calls_a_file_is_one_short_printable_segment(name: str, shown: str) -> None:
    assert sent_name(name) == shown

"""A JSON body is bounded before it is read and checked before it is trusted."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.errors import ThrottledError, ValidationError
from bty_app.web import body
from bty_app.web.large_bodies import LARGE_BYTES, LargeBodies
from tests import serving
from tests.serving import MAC, Site

JSON = {"Content-Type": "application/json"}
MIB = 2**20

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@given(VALUES, st.booleans())
def test_what_json_says_is_what_comes_out(value: Any, ascii_only: bool) -> None:
    assert body.parsed(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=200))
def test_whatever_bytes_come_the_answer_is_a_value_or_a_sentence(data: bytes) -> None:
    try:
        body.parsed(data)
    except ValidationError:
        return


def test_64_levels_are_read_and_65_are_not() -> None:
    body.parsed(b"[" * 64 + b"]" * 64)

    for deep in (b"[" * 65 + b"]" * 65, b'{"a":' * 65 + b"1" + b"}" * 65, b"[" * 500_000):
        with pytest.raises(ValidationError, match=r"nested deeper than 64|more than"):
            body.parsed(deep)


def test_brackets_in_strings_are_no_levels() -> None:
    value = {"a": ["[" * 200, '\\"' + "{" * 200, "\\"], "b": ["]" * 3] * 70}

    assert body.parsed(json.dumps(value).encode()) == value


def test_brackets_after_an_escaped_quote_are_levels_where_they_are() -> None:
    hidden = b'["\\\\",' + b"[" * 70 + b"]" * 70 + b"]"

    with pytest.raises(ValidationError, match="nested deeper"):
        body.parsed(hidden)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_only_utf_8_is_json(encoding: str) -> None:
    """Others would hide their structure: in UTF-16 a letter may hold the byte of a quote."""
    with pytest.raises(ValidationError):
        body.parsed('{"a": "\u2230"}'.encode(encoding))


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": 1, "a": 2}',
        b'{"b": {"a": 1, "a": 1}}',
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',
        b'{"a": "\n"}',
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": 1} x',
        b'{"a": ' + b"9" * 5000 + b"}",
        b"",
        b"\x00",
    ],
)
def test_what_is_not_strict_json_is_refused(text: bytes) -> None:
    with pytest.raises(ValidationError):
        body.parsed(text)


@pytest.mark.parametrize(
    "text",
    [
        # A scan that starts again at each quote takes a minute for these, and a day for 4 MiB.
        b"[" * 65 + b'"' + b'\\"' * 50_000,
        b"[" * 65 + b'"' + b'\\"' * 50_000 + b"\\",
        b"[" * 65 + b'"' * 4_000_001,
        b"[" * 65 + b'"' + b"a" * 4_000_000,
        b"[" * 65 + b"\\" * 4_000_001,
        b"[[]" * 65 + b"]" * 4_000_000,
        b"{" * 65 + b'"":' * 1_300_000,
        b"9" * 4_000_000,
        b"[" * 5 * MIB,
        b"[]," * (5 * MIB // 3),
        b'{"a":' * MIB,
    ],
)
def test_malice_is_refused_in_a_moment(text: bytes) -> None:
    begun = time.process_time()

    with pytest.raises(ValidationError):
        body.parsed(text)

    assert time.process_time() - begun < 2


def resident_mib(key: str) -> float:
    """VmRSS: what this process holds; VmHWM: the most it has held since it was last reset."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{key}:")[1].split()[0]) / 1024


@pytest.mark.parametrize(
    "text",
    [
        b'{"disks":[' + b"[" * (5 * MIB),
        b'{"lshw":[' + b"[]," * (5 * MIB // 3 - 10) + b"0]}",
        b'{"lshw":[' + b"{}," * (5 * MIB // 3 - 10) + b"0]}",
        b'{"lshw":[' + b"[]," * 100 + b'"' + b"x" * (5 * MIB - 1000) + b'"]}',
        b'{"lshw":[' + b"[]," * 100 + b'"' + b"\\n" * (5 * MIB // 2 - 1000) + b'"]}',
    ],
)
def test_a_bomb_of_5_mib_costs_a_bounded_amount_of_memory(server: Site, text: bytes) -> None:
    server.contact()
    Path("/proc/self/clear_refs").write_text("5")
    before = resident_mib("VmRSS")

    answer = server.post(f"/pxe/{MAC}/inventory", body=text, headers=JSON)

    assert answer.status_code in {204, 413, 422}
    assert resident_mib("VmHWM") - before < 120


def test_eight_bombs_at_once_cost_little_more_than_one(server: Site) -> None:
    """A character of four bytes makes all of a text four times as large."""
    server.contact()
    text = '{"lshw":["\U0001f600'.encode() + b"x" * (5 * MIB - 1000) + b'"]}'
    Path("/proc/self/clear_refs").write_text("5")
    before = resident_mib("VmRSS")

    with ThreadPoolExecutor(8) as pool:
        posts = [
            pool.submit(server.post, f"/pxe/{MAC}/inventory", body=text, headers=JSON)
            for _ in range(8)
        ]
        answers = [post.result() for post in posts]

    assert {answer.status_code for answer in answers} <= {204, 429}
    assert any(answer.status_code == 204 for answer in answers)
    assert all("Retry-After" in a.headers for a in answers if a.status_code == 429)
    assert resident_mib("VmHWM") - before < 190  # each of the eight bodies is 5 MiB of this test


def test_large_bodies_take_turns_and_few_wait() -> None:
    bodies = LargeBodies(patience_seconds=60)
    order: list[str] = []
    entered = [threading.Event() for _ in range(2)]

    def wait(number: int) -> None:
        entered[number].set()
        with bodies.turn(LARGE_BYTES + 1):
            order.append("turn")

    with ThreadPoolExecutor(2) as pool:
        with bodies.turn(LARGE_BYTES + 1):
            waiting = [pool.submit(wait, number) for number in range(2)]
            for event in entered:
                event.wait()
            while bodies._room._value:
                pass
            with pytest.raises(ThrottledError) as refused, bodies.turn(LARGE_BYTES + 1):
                raise AssertionError("a fourth one must not be read")
            assert refused.value.retry_after > 0
            with bodies.turn(LARGE_BYTES), bodies.turn(None):
                order.append("small")
        for one in waiting:
            one.result()

    assert order == ["small", "turn", "turn"]
    with bodies.turn(LARGE_BYTES + 1):
        pass


def test_who_waits_too_long_for_a_turn_is_told_to_come_back() -> None:
    bodies = LargeBodies(patience_seconds=0)

    with bodies.turn(LARGE_BYTES + 1), pytest.raises(ThrottledError), bodies.turn(LARGE_BYTES + 1):
        raise AssertionError("not in turn")
    with pytest.raises(ZeroDivisionError), bodies.turn(LARGE_BYTES + 1):
        raise ZeroDivisionError
    with bodies.turn(LARGE_BYTES + 1):
        pass


def test_a_body_over_its_bound_is_refused_before_it_is_read(server: Site) -> None:
    server.contact()
    limit = serving.PLENTY.inventory_max_bytes

    declared = server.post(
        f"/pxe/{MAC}/inventory",
        body=b"{}",
        headers=JSON | {"Content-Length": str(limit + 1)},
    )
    sent = server.post(f"/pxe/{MAC}/inventory", body=b" " * (limit + 1), headers=JSON)
    status = server.post(f"/pxe/{MAC}/status", body=b" " * (16 * 1024 + 1), headers=JSON)
    put = server.operate("PUT", f"/machines/{MAC}", body=b" " * (64 * 1024 + 1), headers=JSON)

    assert [a.status_code for a in (declared, sent, status, put)] == [413] * 4
    assert all(set(a.json) == {"detail"} for a in (declared, sent, status, put))


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=utf-8", "a/b+json"]
)
def test_a_body_that_says_json_is_read(server: Site, kind: str) -> None:
    server.contact()

    answer = server.post(f"/pxe/{MAC}/inventory", body=b"{}", headers={"Content-Type": kind})

    assert answer.status_code == 204


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "json"])
def test_a_body_that_does_not_say_json_is_refused(server: Site, kind: str) -> None:
    server.contact()

    answer = server.post(f"/pxe/{MAC}/inventory", body=b"{}", headers={"Content-Type": kind})

    assert answer.status_code == 422


@pytest.mark.parametrize("text", [b"[]", b"1", b'"x"', b"null", b""])
def test_a_body_that_is_no_object_is_refused(server: Site, text: bytes) -> None:
    server.contact()

    answer = server.post(f"/pxe/{MAC}/inventory", body=text, headers=JSON)

    assert answer.status_code == 422


def test_half_a_surrogate_pair_is_refused_in_a_name_and_mended_in_a_tree(server: Site) -> None:
    server.contact()
    half = b'"\\ud800"'

    serial = server.post(
        f"/pxe/{MAC}/inventory",
        body=b'{"disks":[{"path":"/dev/sda","serial":' + half + b"}]}",
        headers=JSON,
    )
    tree = server.post(
        f"/pxe/{MAC}/inventory", body=b'{"lshw":{' + half + b":" + half + b"}}", headers=JSON
    )

    assert (serial.status_code, tree.status_code) == (422, 204)
    assert server.operate("GET", f"/machines/{MAC}/lshw.json").text == '{"?":"?"}'


def test_512_disks_are_taken_and_513_are_not(server: Site) -> None:
    server.contact()
    disks = [{"path": f"/dev/sd{number}"} for number in range(513)]

    assert server.inventory(disks=disks[:512]).status_code == 204
    assert server.inventory(disks=disks).status_code == 422
    assert len(server.operate("GET", f"/machines/{MAC}").json["known_disks"]) == 512

"""One record is one line, in both formats, whatever is logged."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bty_app import logs

_log = logging.getLogger("bty_app.test")


@contextmanager
def _root_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


def written(format: str, act: Callable[[], object], level: str = "info") -> str:  # noqa: A002
    stream = io.StringIO()
    with _root_restored():
        logs.setup(format, level, stream)
        act()
    return stream.getvalue()


def test_the_house_form() -> None:
    line = written(
        "text",
        lambda: logs.event(
            _log, logging.INFO, "http", method="GET", path="/pxe/aa:bb", status=200, ms=3.1
        ),
    )

    assert line == "level=info at=http method=GET path=/pxe/aa:bb status=200 ms=3.1\n"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("", '""'),
        ("two words", '"two words"'),
        ('a"b', '"a\\"b"'),
        ("a=b", '"a=b"'),
        ("back\\slash", '"back\\\\slash"'),
        ("line\nbreak", '"line\\nbreak"'),
        ("\x1b[31m", '"\\u001b[31m"'),
        ("\x9b31m", '"\\u009b31m"'),
        ("a\u2028b", '"a\\u2028b"'),
        ("a\u202eb", '"a\\u202eb"'),
        ("\udcff", '"\\udcff"'),
        ("sømand", '"sømand"'),
        (True, "true"),
        (7, "7"),
        (float("nan"), "nan"),
        (b"x y", "\"b'x y'\""),
        ("x" * 3000, "x" * 2000 + "…"),
    ],
)
def test_values_in_text(value: object, shown: str) -> None:
    line = written("text", lambda: logs.event(_log, logging.INFO, "x", value=value))

    assert line.removeprefix("level=info at=x value=").strip('"\n') == shown.strip('"')
    assert line.count("\n") == 1


def test_a_field_that_is_none_is_left_out() -> None:
    line = written("text", lambda: logs.event(_log, logging.INFO, "x", mac=None, a=0))

    assert line == "level=info at=x a=0\n"


def test_json_has_the_time_in_utc_and_typed_values() -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)

    line = written("json", lambda: logs.event(_log, logging.INFO, "http", status=200, ms=3.5))

    found = json.loads(line)
    time = datetime.fromisoformat(found.pop("time"))
    assert before <= time <= datetime.now(UTC)
    assert found == {"level": "info", "at": "http", "status": 200, "ms": 3.5}


def test_the_names_of_the_line_itself_are_not_to_be_had() -> None:
    fields: dict[str, object] = {"level": "x", "at": "y", "a b=c\n": 1}

    line = written("text", lambda: logs.event(_log, logging.INFO, "job", **fields))

    assert line == "level=info at=job level_=x at_=y a_b_c_=1\n"


def test_records_of_libraries_carry_their_logger_and_message() -> None:
    line = written("text", lambda: logging.getLogger("waitress").warning("Task %s", "a\nb"))

    assert line == 'level=warning at=waitress msg="Task a\\nb"\n'


@pytest.mark.parametrize("format_name", logs.FORMATS)
def test_a_traceback_stays_on_the_line(format_name: str) -> None:
    def act() -> None:
        try:
            int("first\nsecond")
        except ValueError:
            _log.exception("broken")

    line = written(format_name, act)

    assert line.count("\n") == 1
    assert "test_logs.py" in line
    assert "first" in line


def test_less_than_the_level_is_not_written() -> None:
    def act() -> None:
        logs.event(_log, logging.INFO, "quiet")
        _log.info("quiet")
        logs.event(_log, logging.ERROR, "loud")

    assert written("text", act, level="warning") == "level=error at=loud\n"


def test_setup_replaces_what_was_set_up_before() -> None:
    first = io.StringIO()

    def act() -> None:
        logs.event(_log, logging.INFO, "once")

    with _root_restored():
        logs.setup("text", "info", first)
        line = written("text", act)

    assert line == "level=info at=once\n"
    assert first.getvalue() == ""


# Lone surrogates too: they come from file names and from decoded headers.
_any_text = st.text(st.characters(codec=None) | st.sampled_from("\n\r\x0b\x0c\x1c\x85\u2028\u2029"))
_any_value = _any_text | st.integers() | st.floats() | st.booleans() | st.none() | st.binary()


def one_line(text: str) -> bool:
    return text.endswith("\n") and len(text.splitlines()) == 1


@given(fields=st.dictionaries(_any_text, _any_value, max_size=5), at=_any_text)
@example(fields={"path": "x\nlevel=error at=forged"}, at="http")
def test_no_event_writes_a_second_line(fields: dict[str, Any], at: str) -> None:
    def act() -> None:
        logs.event(_log, logging.INFO, at, **fields)

    assert one_line(written("text", act))


@given(fields=st.dictionaries(_any_text, _any_value, max_size=5), at=_any_text)
@example(fields={"n": float("inf")}, at="http")
def test_every_json_line_parses_strictly(fields: dict[str, Any], at: str) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    line = written("json", lambda: logs.event(_log, logging.INFO, at, **fields))

    found = json.loads(line, parse_constant=refuse)
    assert one_line(line)
    assert found["level"] == "info"
    assert list(found)[:3] == ["time", "level", "at"]


@given(fields=st.dictionaries(st.from_regex(r"\A[a-z]{1,5}\Z"), _any_text, max_size=3))
def test_text_lines_can_be_read_back(fields: dict[str, str]) -> None:
    line = written("text", lambda: logs.event(_log, logging.INFO, "x", **fields))

    rest = line.removeprefix("level=info at=x").rstrip("\n")
    read: dict[str, str] = {}
    while rest:
        key, _, rest = rest[1:].partition("=")
        if rest.startswith('"'):
            read[key], end = json.JSONDecoder().raw_decode(rest)
        else:
            end = rest.find(" ") if " " in rest else len(rest)
            read[key] = rest[:end]
        rest = rest[end:]
    expected = {f"{k}_" if k in ("time", "level", "at") else k: v for k, v in fields.items()}
    assert read == expected


@given(text=_any_text)
def test_one_line_is_one_line(text: str) -> None:
    assert len(f"{logs.one_line(text)}.".splitlines()) == 1

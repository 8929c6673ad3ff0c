"""A single byte range of a file (RFC 9110, section 14)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.byte_range import Span, span_of


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("bytes=0-499", Span(0, 500)),
        ("bytes=500-999", Span(500, 500)),
        ("bytes=-500", Span(500, 500)),
        ("bytes=9-", Span(9, 991)),
        ("bytes=0-0", Span(0, 1)),
        ("bytes=-1", Span(999, 1)),
        ("bytes=-5000", Span(0, 1000)),
        ("bytes=0-99999", Span(0, 1000)),
        ("bytes=999-", Span(999, 1)),
        ("BYTES= 0-1 ", Span(0, 2)),
        ("bytes=1000-", Span(1000, 0)),
        ("bytes=1000-2000", Span(1000, 0)),
        ("bytes=-0", Span(1000, 0)),
    ],
)
def test_a_range_is_a_span_and_one_outside_has_no_length(header: str, span: Span) -> None:
    assert span_of(header, 1000) == span


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=5",
        "bytes=5-4",
        "bytes=0-1,2-3",
        "bytes=a-b",
        "bytes=--1",
        "bytes=\u0661-",
        "bytes=" + "9" * 19 + "-",
        "items=0-1",
        " bytes=0-1",
        "bytes=0-1\n0",
    ],
)
def test_what_is_no_single_range_means_the_whole_file(header: str | None) -> None:
    assert span_of(header, 1000) is None


def test_of_an_empty_file_every_range_lies_outside() -> None:
    assert [span_of(header, 0) for header in ("bytes=0-", "bytes=0-5", "bytes=-5")] == [
        Span(0, 0)
    ] * 3


@given(
    st.from_regex(r"bytes=[0-9]{0,6}-[0-9]{0,6}", fullmatch=True) | st.text(),
    st.integers(0, 2000),
)
def test_a_span_never_leaves_the_file(header: str, size: int) -> None:
    span = span_of(header, size)

    if span is not None:
        assert 0 <= span.start <= span.start + span.length <= size

"""What a registry wants before it answers."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.challenge import MAX_CHARS, Challenge, parse_challenge


@pytest.mark.parametrize(
    ("header", "challenge"),
    [
        (
            'Bearer realm="https://r/token",service="r",scope="repository:o/r:pull,push"',
            Challenge(True, "https://r/token", "r", "repository:o/r:pull,push"),
        ),
        ('bearer  Realm=https://r/t , SERVICE = "a\\"b"', Challenge(True, "https://r/t", 'a"b')),
        ('Basic realm="r"', Challenge(False, "r")),
        ("Basic", Challenge(False, "")),
        ('Bearer realm="a",realm="b"', Challenge(True, "a")),
        ('Bearer service="r"', None),
        ("Digest realm=x", None),
        ("", None),
        (None, None),
        ("Bearer realm=" + "x" * MAX_CHARS, None),
    ],
)
def test_a_challenge_is_read(header: str | None, challenge: Challenge | None) -> None:
    assert parse_challenge(header) == challenge


@given(st.text(max_size=200) | st.text('="\\, Baersic', max_size=200))
def test_no_header_is_too_odd(header: str) -> None:
    parse_challenge(header)
    parse_challenge(f"Bearer {header}")


def test_a_header_made_to_cost_time_does_not() -> None:
    began = time.monotonic()

    parse_challenge('Bearer a="' + "\\" * (MAX_CHARS - 11))
    parse_challenge("Bearer " + "a" * (MAX_CHARS - 8))

    assert time.monotonic() - began < 1

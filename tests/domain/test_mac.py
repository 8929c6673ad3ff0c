"""One spelling of a MAC address."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.mac import parse_mac
from bty_app.errors import InvalidInputError

PAIR = st.integers(0, 255).map(lambda number: f"{number:02x}")


@given(
    pairs=st.lists(PAIR, min_size=6, max_size=6),
    separators=st.lists(st.sampled_from(":-"), min_size=5, max_size=5),
    upper=st.booleans(),
)
def test_colons_hyphens_and_case_are_one_spelling(
    pairs: list[str], separators: list[str], upper: bool
) -> None:
    text = "".join(map(str.__add__, pairs, [*separators, ""]))

    assert parse_mac(text.upper() if upper else text) == ":".join(pairs)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "52:54:00:12:34",
        "52:54:00:12:34:56:78",
        "525400123456",
        "5254.0012.3456",
        "52 54 00 12 34 56",
        "5:54:00:12:34:56",
        "52:54:00:12:34:5g",
        "52:54:00:12:34:56\n",
        " 52:54:00:12:34:56",
        "52::54:00:12:34:56",
        "\u0665\u0662:54:00:12:34:56",
        "52:54:00:12:34:5\u212a",  # a sign whose lower case is a letter of ours
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="invalid MAC"):
        parse_mac(text)


@given(st.text())
def test_what_is_parsed_is_its_own_spelling(text: str) -> None:
    try:
        mac = parse_mac(text)
    except InvalidInputError:
        return
    assert parse_mac(mac) == mac

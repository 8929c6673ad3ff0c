"""What our own live environment says of a flash under way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.machine import has_control_characters
from bty_app.domain.progress import ProgressReport, parse_progress, parse_reason
from bty_app.errors import ValidationError


def test_a_report_is_a_phase_and_what_is_known() -> None:
    assert parse_progress({"phase": "write"}) == ProgressReport("write")
    assert parse_progress(
        {"phase": "read-back_2", "bytes": 0, "total": 2**62, "rate": None, "error": "x"}
    ) == ProgressReport("read-back_2", 0, 2**62, None, "x")


@pytest.mark.parametrize("phase", [None, "", "W", "2", "a b", "a\n", "x" * 33, "ü", 5])
def test_a_phase_is_a_word(phase: object) -> None:
    with pytest.raises(ValidationError, match="phase"):
        parse_progress({"phase": phase})


@pytest.mark.parametrize("key", ["bytes", "total", "rate"])
@pytest.mark.parametrize("amount", [-1, 2**62 + 1, True, 1.0, "1", []])
def test_an_amount_is_a_whole_number_that_fits(key: str, amount: object) -> None:
    with pytest.raises(ValidationError, match=key):
        parse_progress({"phase": "write", key: amount})


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(ValidationError, match="'eta'"):
        parse_progress({"phase": "write", "eta": 5})


@given(st.text(max_size=500))
def test_a_reason_stays_one_line_of_the_same_length(text: str) -> None:
    reason = parse_reason(text)

    assert reason is not None
    assert len(reason) == len(text)
    assert not has_control_characters(reason)


@pytest.mark.parametrize("value", [5, True, [], {}, "x" * 501])
def test_a_reason_is_text_of_up_to_500_characters(value: object) -> None:
    with pytest.raises(ValidationError, match=r"reason: .* 500"):
        parse_reason(value)


def test_no_reason_is_none() -> None:
    assert parse_reason(None) is None
    assert parse_reason("") == ""

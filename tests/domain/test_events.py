"""Each audit row vouches for the one before."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.events import (
    CHAIN_START,
    Kind,
    StoredEvent,
    chain_value,
    chained_fields,
    details_text,
    first_broken,
)

TEXT = st.none() | st.text(max_size=5)
FIELDS = st.tuples(*[TEXT] * 8)


def row(number: int, before: str, **more: object) -> StoredEvent:
    event = StoredEvent(
        number, f"t{number}", "machine.flashed", "machine", "m", "pxe-client", "1.2.3.4",
        f"summary {number}", '{"a": 1}', False, "",
    )  # fmt: skip
    event = dataclasses.replace(event, **more)  # type: ignore[arg-type]
    return dataclasses.replace(event, chain=chain_value(before, chained_fields(event)))


def log(count: int = 5) -> list[StoredEvent]:
    rows: list[StoredEvent] = []
    for number in range(1, count + 1):
        rows.append(row(number, rows[-1].chain if rows else CHAIN_START))
    return rows


def test_a_chain_value_is_sha_256_over_the_one_before_and_the_fields() -> None:
    """The formula is a format: another program can verify an archive with it."""
    fields = ("t", "kind", None, None, "system", None, "sum", '{"a": "\\u00fc"}')
    text = json.dumps([CHAIN_START, *fields]).encode("ascii")

    assert chain_value(CHAIN_START, fields) == hashlib.sha256(text).hexdigest()
    assert CHAIN_START == "0" * 64


@given(FIELDS, FIELDS)
def test_different_fields_have_different_values(
    one: tuple[str | None, ...], other: tuple[str | None, ...]
) -> None:
    assert (chain_value(CHAIN_START, one) == chain_value(CHAIN_START, other)) == (one == other)


def test_a_whole_log_holds() -> None:
    assert first_broken(CHAIN_START, log()) is None
    assert first_broken(CHAIN_START, []) is None


@pytest.mark.parametrize(
    "column",
    ["ts", "kind", "subject_kind", "subject_id", "actor", "source_ip", "summary", "details"],
)
@pytest.mark.parametrize("value", ["x", None, ""])
def test_a_change_of_any_column_is_found_where_it_is(column: str, value: str | None) -> None:
    rows = log()
    rows[2] = dataclasses.replace(rows[2], **{column: value})  # type: ignore[arg-type]

    assert first_broken(CHAIN_START, rows) == 3


def test_a_row_that_is_missing_put_in_or_moved_is_found() -> None:
    rows = log()
    forged = dataclasses.replace(rows[2], id=9, summary="forged")

    assert first_broken(CHAIN_START, rows[:2] + rows[3:]) == 4
    assert first_broken(CHAIN_START, rows[1:]) == 2
    assert first_broken(CHAIN_START, [*rows[:2], forged, *rows[2:]]) == 9
    assert first_broken(CHAIN_START, [rows[0], rows[2], rows[1], *rows[3:]]) == 3
    assert first_broken("f" * 64, rows) == 1


def test_a_forged_row_with_a_fitting_value_is_found_in_the_next() -> None:
    rows = log()
    rows[2] = row(3, rows[1].chain, summary="forged")

    assert first_broken(CHAIN_START, rows) == 4


def test_an_acknowledgement_breaks_nothing() -> None:
    rows = [dataclasses.replace(event, acknowledged=True) for event in log()]

    assert first_broken(CHAIN_START, rows) is None


def test_details_are_ascii_json_without_nan() -> None:
    assert details_text({"ü": [1, None]}) == '{"\\u00fc": [1, null]}'
    assert details_text(None) is None
    with pytest.raises(ValueError, match="JSON compliant"):
        details_text({"a": float("nan")})


def test_kinds_are_dotted_words() -> None:
    for kind in Kind:
        assert all(part.replace("_", "").isalpha() and part.islower() for part in kind.split("."))

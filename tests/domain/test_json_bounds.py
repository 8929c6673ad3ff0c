from __future__ import annotations

import json

import pytest

from bty_app.domain import json_bounds
from bty_app.errors import InvalidInputError


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 65 + "]" * 65, "nested deeper"),
        ("[" * 100_000, "nested deeper"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "'c' stands twice"),
        ("9" * 5000, "not JSON"),
        ("[1,", "not JSON"),
        ("", "not JSON"),
        ("[" + "[]," * json_bounds.MAX_NODES + "[]]", "more than 1,000,000 values"),
    ],
)
def test_hostile_text_is_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        json_bounds.decode(text)


def test_sixty_four_levels_are_accepted() -> None:
    text = "[" * 64 + "]" * 64

    assert json_bounds.compact(json_bounds.decode(text)) == text


def test_nan_and_infinity_are_read_as_null_and_never_written() -> None:
    value = json_bounds.decode('[NaN, Infinity, -Infinity, 1e999, {"a": -1e999}, 1.5]')

    assert json_bounds.compact(value) == '[null,null,null,null,{"a":null},1.5]'


@pytest.mark.parametrize(
    ("value", "unfit"),
    [
        ("plain", None),
        ("\u00e9\u20ac", None),
        ("\U0001f600\U0001f600", None),
        ("\\u0000 \\ud800", None),
        ("\0", "a NUL character"),
        ("\\\0", "a NUL character"),
        ("\ud83d", "half of a surrogate pair"),
        ("\ude00\ud83d", "half of a surrogate pair"),
        ("\U0001f600\ud83d", "half of a surrogate pair"),
        ("\ud83dx", "half of a surrogate pair"),
        ("\u20ac\0", "a NUL character"),
        ({"\0": 1}, "a NUL character"),
    ],
)
def test_characters_that_nothing_can_show_are_found(value: object, unfit: str | None) -> None:
    assert json_bounds.unfit_character(json.dumps(value)) == unfit

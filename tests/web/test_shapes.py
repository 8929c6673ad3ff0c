"""What a shape takes is what its JSON Schema allows: the same for any value."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.errors import ValidationError
from bty_app.web.records import Either, Items, Keyed, Parameters, Record, options, record
from bty_app.web.shapes import LARGEST, Anything, Flag, Nullable, Number, Shape, Text, Whole

SHAPES: dict[str, Shape] = {
    "any text": Text(),
    "bounded text": Text(least=2, most=3),
    "a pattern": Text(pattern="[a-c]{1,3}"),
    "alternatives": Text(pattern="a|bc"),
    "a closed set": Text(one_of=("a", "b")),
    "a number": Whole(),
    "any number": Whole(least=None, most=None),
    "a bounded number": Whole(least=2, most=5),
    "a flag": Flag(),
    "a float": Number(),
    "text or null": Nullable(Text()),
    "one of a set or null": Nullable(Text(one_of=("a",))),
    "anything or null": Nullable(Anything()),
    "a list": Items(Whole(), most=2),
    "a map": Keyed(Flag()),
    "a record": Record({"a": Text(), "b": Whole()}, optional=frozenset({"b"})),
    "an open record": Record({"a": Text()}, is_open=True),
    "options": options(a=Nullable(Flag()), b=Items(Text())),
    "nested": record(a=record(b=Items(Flag()))),
    "either": Either((Whole(), record(a=Flag()))),
}
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-3, 8)
    | st.sampled_from([1.0, 2.5, -0.0, LARGEST, LARGEST + 1, "a", "b", "bc", "abc", "abcd", "a\n"])
    | st.text(max_size=4)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=6,
)


def takes(shape: Shape, value: object) -> bool:
    try:
        shape.checked(value, "here")
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("name", SHAPES)
@given(value=VALUES)
def test_a_shape_takes_what_its_schema_allows(name: str, value: Any) -> None:
    shape = SHAPES[name]

    allowed = jsonschema_rs.Draft202012Validator(shape.schema()).is_valid(value)

    assert takes(shape, value) == allowed


def test_a_refusal_names_the_place() -> None:
    deep = record(a=Items(record(b=Whole(most=3))))

    with pytest.raises(ValidationError, match=r"^a\[1\]\.b: must be 3 or less$"):
        deep.checked({"a": [{"b": 1}, {"b": 4}]})


@pytest.mark.parametrize(
    ("name", "shown"), [("b", "b"), ("b\n\x1b[31m", r"'b\n\x1b[31m'"), ("b" * 90, "b" * 80)]
)
def test_a_name_that_there_is_not_is_shown_on_one_short_line(name: str, shown: str) -> None:
    with pytest.raises(ValidationError) as raised:
        options(a=Text()).checked({name: "x"})

    assert raised.value.message == f"{shown}: there is no such field"


def test_what_is_left_out_is_none() -> None:
    assert options(a=Text(), b=Flag()).checked({"b": False}) == {"a": None, "b": False}


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({}, {"n": None, "f": None}),
        ({"n": "5"}, {"n": 5, "f": None}),
        ({"f": "Yes"}, {"n": None, "f": True}),
        ({"f": "0"}, {"n": None, "f": False}),
        ({"n": "+5"}, "n: must be a whole number"),
        ({"n": "\u0665"}, "n: must be a whole number"),
        ({"n": "9" * 5000}, "n: must be a whole number"),
        ({"n": "-1"}, "n: must be 0 or more"),
        ({"n": ["1", "2"]}, "n: stands more than once in the address"),
        ({"f": ""}, "f: must be true or false"),
        ({"x": "1"}, "x: there is no such parameter"),
    ],
)
def test_the_parameters_of_an_address(said: dict[str, Any], found: Any) -> None:
    wanted = Parameters({"n": Whole(), "f": Flag()})

    if isinstance(found, str):
        with pytest.raises(ValidationError, match=f"^{found}$"):
            wanted.checked(said)
    else:
        assert wanted.checked(said) == found


def test_a_parameter_that_must_be_there_is_missed() -> None:
    with pytest.raises(ValidationError, match="'src' is missing"):
        Parameters({"src": Text()}, frozenset({"src"})).checked({})

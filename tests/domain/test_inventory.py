"""What a live environment says of its hardware, checked at the door."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.inventory import (
    DISK_KEYS,
    MAX_LSHW_BYTES,
    canonical_json,
    parse_disks,
    parse_inventory,
)
from bty_app.errors import ValidationError

LIMITS = {"path": 255, "size": 32, "vendor": 64, "model": 128, "serial": 128, "tran": 32}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def test_an_empty_body_is_an_inventory_of_no_disks() -> None:
    bodies: list[dict[str, object]] = [{}, {"disks": None, "lshw": None}, {"disks": []}]
    for body in bodies:
        found = parse_inventory(body)

        assert (found.disks, found.count, found.serials, found.lshw) == ("[]", 0, (), None)


def test_a_disk_is_stored_with_exactly_the_sorted_keys() -> None:
    disk = {"path": "/dev/sda", "type": "disk", "mountpoints": ["/"], "children": [], "serial": ""}

    (stored,) = json.loads(parse_inventory({"disks": [disk]}).disks)

    assert list(stored) == list(DISK_KEYS) == sorted(DISK_KEYS)
    assert stored == dict.fromkeys(DISK_KEYS) | {
        "path": "/dev/sda", "serial": "", "readonly": False, "removable": False,
    }  # fmt: skip


def test_serials_are_those_that_say_something() -> None:
    disks = [{"path": "/dev/a", "serial": s} for s in ("S1", None, "", "S2", "S1")]

    assert parse_inventory({"disks": disks}).serials == ("S1", "S2", "S1")


@pytest.mark.parametrize(("key", "limit"), LIMITS.items())
def test_text_is_bounded_and_of_one_line(key: str, limit: int) -> None:
    base = {"path": "/dev/sda"}
    parse_disks([base | {key: "x" * limit}])

    bad_values: list[object] = [
        "x" * (limit + 1),
        5,
        True,
        [],
        "a\nb",
        "a\x00",
        "a\x7f",
        "a\u2028b",
        "\ud800",
    ]
    for bad in bad_values:
        with pytest.raises(ValidationError, match=rf"disks\[1\]\.{key}: must"):
            parse_disks([base, base | {key: bad}])


@pytest.mark.parametrize("key", ["removable", "readonly"])
def test_flags_are_true_or_false(key: str) -> None:
    """A "0" of an old lsblk counted as true."""
    assert [
        parse_disks([{"path": "/dev/sda", key: value}])[0][key] for value in (True, False, None)
    ] == [True, False, False]
    bad_values: list[object] = ["0", "1", 0, 1, []]
    for bad in bad_values:
        with pytest.raises(ValidationError, match=f"{key}: must be true or false"):
            parse_disks([{"path": "/dev/sda", key: bad}])


@pytest.mark.parametrize("disks", [{}, "x", 5, [5], [None], [[]], [{}], [{"path": ""}]])
def test_what_is_no_list_of_disks_is_refused(disks: object) -> None:
    with pytest.raises(ValidationError, match="disks"):
        parse_disks(disks)


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(ValidationError, match="'memory' is not a field"):
        parse_inventory({"disks": [], "memory": 1})


@pytest.mark.parametrize("tree", ["x", 5, True, 1.5])
def test_a_tree_is_an_object_or_a_list(tree: object) -> None:
    with pytest.raises(ValidationError, match="lshw"):
        parse_inventory({"lshw": tree})


def test_a_tree_of_4_mib_as_stored_is_kept_and_one_byte_more_is_not() -> None:
    at_limit = parse_inventory({"lshw": ["x" * (MAX_LSHW_BYTES - 4)]})
    over = parse_inventory({"lshw": ["x" * (MAX_LSHW_BYTES - 3)]})
    escaped = parse_inventory({"lshw": ["ü" * (MAX_LSHW_BYTES // 6 + 1)]})

    assert at_limit.lshw is not None
    assert len(at_limit.lshw) == MAX_LSHW_BYTES
    assert (over.lshw, over.lshw_too_large) == (None, True)
    assert (escaped.lshw, escaped.lshw_too_large) == (None, True)


@given(JSON)
def test_what_is_stored_is_ascii_and_reads_back(value: Any) -> None:
    try:
        text = canonical_json(value)
    except ValidationError:
        assert "NaN" in json.dumps(value) or "Infinity" in json.dumps(value)
    else:
        assert text.isascii()
        assert json.loads(text) == value


def test_half_a_surrogate_pair_becomes_a_question_mark() -> None:
    assert canonical_json({"a\ud800": "\udfffb", "c": "\U0001f600"}) == (
        '{"a?":"?b","c":"\\ud83d\\ude00"}'
    )


@given(JSON)
def test_whatever_a_box_says_is_taken_or_refused_with_a_sentence(body: Any) -> None:
    for said in ({"disks": body}, {"disks": [body]}, {"lshw": body}):
        try:
            found = parse_inventory(said)
        except ValidationError:
            continue
        assert found.disks.isascii()

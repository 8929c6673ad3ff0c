"""What an operator may set of a machine."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.machine import (
    Assignment,
    BootMode,
    Serial,
    has_control_characters,
    parse_assignment,
)
from bty_app.errors import ValidationError
from tests.domain.test_offers import machine

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from(
    ["boot_mode", "bty_image_ref", "target_disk_serial", "sanboot_drive", "labels"]
)


def test_what_is_left_out_takes_its_default() -> None:
    assert parse_assignment({}) == Assignment(BootMode.IPXE_EXIT, None, None, None, ())


@pytest.mark.parametrize("mode", list(BootMode))
def test_each_mode_is_taken_by_its_public_name(mode: BootMode) -> None:
    assert parse_assignment({"boot_mode": mode.value}).boot_mode is mode


def test_labels_are_a_sorted_set() -> None:
    assert parse_assignment({"labels": ["b", "a", "b"]}).labels == ("a", "b")
    assert len(parse_assignment({"labels": [f"l{n}" for n in range(16)]}).labels) == 16


def test_a_refusal_names_the_field_and_what_would_be_right() -> None:
    with pytest.raises(ValidationError, match="'x' is not a field of a machine: use boot_mode"):
        parse_assignment({"x": 1})
    with pytest.raises(ValidationError, match="boot_mode: 'ramboot' is not one of ipxe-exit"):
        parse_assignment({"boot_mode": "ramboot"})


@given(st.dictionaries(KEYS, ANY))
def test_whatever_is_given_the_outcome_is_fit_for_a_script(fields: dict[str, Any]) -> None:
    try:
        wanted = parse_assignment(fields)
    except ValidationError:
        return

    for text in (wanted.target_disk_serial, wanted.sanboot_drive, wanted.image_ref):
        assert text is None or not has_control_characters(text)
    assert wanted.sanboot_drive is None or wanted.sanboot_drive.startswith("0x")


@pytest.mark.parametrize(
    "char", ["\x00", "\t", "\n", "\r", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", "\ud800"]
)
def test_what_breaks_a_line_or_a_terminal_is_seen(char: str) -> None:
    assert has_control_characters(f"a{char}b")


@pytest.mark.parametrize("text", ["", "WD-WX 12_3.4/5", "ü€😀", "a;b$(c)"])
def test_what_a_serial_may_hold_is_not(text: str) -> None:
    assert not has_control_characters(text)
    assert parse_assignment({"target_disk_serial": text}).target_disk_serial == (text or None)


def test_a_machine_without_a_drive_boots_the_first() -> None:
    assert machine(BootMode.TUI).drive == "0x80"
    assert machine(BootMode.TUI, sanboot_drive="0x81", target_disk_serial=Serial("S")).drive == (
        "0x81"
    )

"""What is taken of another appliance, and what may go into a script."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.mac import Mac
from bty_app.domain.migration import (
    Mark,
    check_name,
    mark_text,
    occupied,
    parse_address,
    parse_appliance,
    parse_mark,
    parse_parts,
    travels,
)
from bty_app.errors import InvalidInputError, ValidationError
from bty_app.netboot import ipxe

GOOD = {
    "state": "serving",
    "to": "",
    "copy": "",
    "version": "1",
    "instance_id": "x",
    "machines": 1,
    "flashing": 0,
    "boot": [{"name": "sets/1/a", "size_bytes": 1, "sha256": "a" * 64}],
    "links": {"current": "sets/1.0-abc"},
}


@given(st.text(max_size=40))
def test_an_address_that_is_taken_cannot_end_its_line_of_a_script(text: str) -> None:
    try:
        address = parse_address(f"http://{text}")
    except ValidationError:
        return

    script = ipxe.moved("http://192.0.2.1", Mac("52:54:00:12:34:56"), address)

    assert re.fullmatch(r"http://[][A-Za-z0-9.:-]+", address)
    assert len(script.splitlines()) == len(
        ipxe.moved("http://192.0.2.1", Mac("52:54:00:12:34:56"), "http://x").splitlines()
    )


@given(st.text(max_size=60))
def test_a_name_that_is_taken_stays_below_its_place(text: str) -> None:
    try:
        name = check_name(text)
    except InvalidInputError:
        return

    assert not name.startswith("/")
    assert ".." not in name.split("/")


@given(st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists, max_leaves=5))
def test_nothing_that_another_host_says_is_more_than_a_refusal(value: object) -> None:
    for key in GOOD:
        data = json.dumps({**GOOD, key: value}).encode()
        try:
            parse_appliance(data)
        except InvalidInputError:
            continue


def test_what_an_appliance_says_is_read() -> None:
    found = parse_appliance(json.dumps(GOOD).encode())

    assert (found.machines, found.boot[0].name) == (1, "sets/1/a")
    assert dict(found.links) == {"current": "sets/1.0-abc"}


@pytest.mark.parametrize(
    "links", [{"current": "../x"}, {"current": "/etc"}, {"previous": "sets/../x"}, {"current": 1}]
)
def test_a_link_that_leads_to_no_set_is_refused(links: object) -> None:
    with pytest.raises(InvalidInputError, match="leads to no set"):
        parse_appliance(json.dumps({**GOOD, "links": links}).encode())


@pytest.mark.parametrize(
    "change",
    [{"size_bytes": True}, {"size_bytes": -1}, {"sha256": "A" * 64}, {"name": "../a"}, {"name": 1}],
)
def test_a_file_that_cannot_be_is_refused(change: dict[str, object]) -> None:
    part = {"name": "a", "size_bytes": 1, "sha256": "a" * 64}

    with pytest.raises(InvalidInputError):
        parse_parts([part | change])
    with pytest.raises(InvalidInputError, match="twice"):
        parse_parts([part, part])


def test_a_mark_is_read_as_it_was_written_and_garbage_is_a_mark_without_address() -> None:
    mark = Mark("http://192.0.2.1:8080", "2026", "a" * 64)

    assert parse_mark(mark_text(mark)) == mark
    for garbage in (b"", b"{", b"[]", b'{"to": "x"}', b"\xff"):
        assert parse_mark(garbage) == Mark("")


def test_a_moved_appliance_without_an_address_has_its_machines_wait() -> None:
    script = ipxe.moved("http://192.0.2.1", Mac("52:54:00:12:34:56"), "")

    assert "chain --replace http://192.0.2.1/pxe/52-54-00-12-34-56 || goto again" in script
    assert "exit" not in script
    assert "sanboot" not in script


def test_unfinished_work_and_locks_stay() -> None:
    assert travels("sets/1.0-a/.set.json")
    for name in ("sets/.fetching-x/a", "sets/.lock", ".tmp-x", ".large.efi.part"):
        assert not travels(name)
    assert occupied(["boot", "state.lock", ".tmp-x", "state.db", "backups"]) == [
        "backups",
        "state.db",
    ]

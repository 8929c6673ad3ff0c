from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bty_app.domain import json_bounds
from bty_app.domain.bundle import HardwareRecord, Rejected
from bty_app.domain.bundle_reader import BundleReader
from bty_app.errors import InvalidInputError
from tests.domain.test_bundle import GOLDEN, JSON

TWO = (GOLDEN / "two-machines" / "inventory.json").read_bytes()
START = b'{"bty_export_version": 3, "machines": ['
ONE = b'{"mac": "02:00:00:00:00:01"}'


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def read(data: bytes, size: int = 65536) -> list[HardwareRecord | Rejected]:
    return list(BundleReader(pieces(data, size)).machines())


def refusal(data: bytes, size: int = 65536) -> str:
    with pytest.raises(InvalidInputError) as caught:
        read(data, size)
    return caught.value.message


def test_the_machines_and_the_facts_of_a_bundle_are_read() -> None:
    reader = BundleReader([TWO])

    machines = list(reader.machines())

    assert [machine.mac for machine in machines] == ["02:00:00:00:00:01", "02:00:00:00:00:02"]
    assert reader.exported_at == "2026-11-22T19:07:18.570473+00:00"
    assert reader.exported_by == "0.90.0"
    assert reader.count == 2


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
def test_the_pieces_may_be_cut_anywhere(size: int) -> None:
    assert read(TWO, size) == read(TWO)


@settings(deadline=None)
@given(
    st.lists(JSON, max_size=4),
    st.booleans(),
    st.sampled_from([None, 0, 3]),
    st.integers(1, 40),
)
def test_any_json_of_the_right_form_is_read_as_json_loads_reads_it(
    trees: list[Any], escaped: bool, indent: int | None, size: int
) -> None:
    whole = {
        "later": trees,
        "machines": [
            {"mac": f"02:00:00:00:00:{number:02x}", "hw_lshw": [tree]}
            for number, tree in enumerate(trees)
        ],
        "bty_export_version": 3,
    }
    text = json.dumps(whole, ensure_ascii=escaped, indent=indent)
    data = text.encode("utf-8", "surrogatepass")

    machines = read(data, size)

    for tree, machine in zip(trees, machines, strict=True):
        stored = json.dumps([tree], separators=(",", ":"))
        if json_bounds.unfit_character(stored):
            assert isinstance(machine, Rejected)
        else:
            assert isinstance(machine, HardwareRecord)
            assert machine.hw_lshw == stored


@pytest.mark.parametrize(
    "text",
    [
        '{"bty_export_version": 3}',
        ' \n{ "machines" : [ ] , "bty_export_version" : 3.0 }\r\n\t',
        '{"bty_export_version":3.0,"x":1234.5e-1,"y":-12}',
        '{"machines": [], "x": {"deep": [1, 2]}, "bty_export_version": 3}',
    ],
)
def test_blanks_order_and_unknown_keys_do_not_matter(text: str) -> None:
    for size in (1, 5, 1000):
        assert read(text.encode(), size) == []


def test_a_bundle_cut_short_at_any_byte_is_refused() -> None:
    whole = TWO.rstrip()

    for end in range(len(whole)):
        assert refusal(whole[:end], 100)


def test_a_bundle_with_a_flipped_bit_is_refused_or_still_a_bundle() -> None:
    chance = random.Random(1)  # noqa: S311 - no secret

    for _ in range(2000):
        damaged = bytearray(TWO)
        damaged[chance.randrange(len(TWO))] ^= 1 << chance.randrange(8)
        try:
            expected = json.loads(bytes(damaged).decode("utf-8"))
        except ValueError:
            assert refusal(bytes(damaged), 64)
            continue
        try:
            machines = read(bytes(damaged), 64)
        except InvalidInputError:
            continue
        assert len(machines) == len(expected.get("machines", []))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "cut short"),
        (b"\xef\xbb\xbf{}", "byte-order mark"),
        (b"[]", "JSON object"),
        (b"{}", "no bty_export_version"),
        (b'{"machines": []}', "no bty_export_version"),
        (b'{"bty_export_version": true, "machines": []}', "is true"),
        (b'{"bty_export_version": 2, "machines": []}', "old version 2"),
        (b'{"machines": [' + ONE + b'], "bty_export_version": 1}', "old version 1"),
        (b'{"bty_export_version": 3, "bty_export_version": 3}', "stands twice"),
        (b'{"bty_export_version": 3, "machines": [], "machines": []}', "stands twice"),
        (b'{"bty_export_version": 3, "machines": {}}', "must be an array"),
        (b'{"bty_export_version": 3, "machines": null}', "must be an array"),
        (START + b"]} x", "goes on after its end"),
        (START + b"]}\x00", "goes on after its end"),
        (START + b"5]}", "not an object"),
        (START + b"null]}", "not an object"),
        (START + ONE + b",]}", "not an object"),
        (START + ONE + b" " + ONE + b"]}", "a comma"),
        (START + b'{"mac": 1, "mac": 2}]}', "'mac' stands twice"),
        (START + ONE + b',{"mac": "02-00-00-00-00-01"}]}', "stands twice in the bundle"),
        (START + ONE + b',{"mac": "02-00-00-00-00-01", "hw_lshw": 5}]}', "stands twice"),
        (START + b'{"a": ' + b"9" * 5000 + b"}]}", "number that is too long"),
        (START + b'{"a": ' + b"[" * 65 + b"]" * 65 + b"}]}", "nested deeper"),
        (START + b'{"a": ' + b"[" * 500_000, "nested deeper"),
        (START + b'{"a": "\xff"}]}', "not UTF-8"),
        (START + b'{"a": "\\\xc3\xa9"}]}', "backslash"),
        (START + b'{"a": "\xed\xa0\x80"}]}', "not UTF-8"),
        (START + b'{"a": "\n"}]}', "control character"),
        (b'{"x": "a', "cut short|Unterminated"),
        (b"\x00" * 1000, "JSON object"),
    ],
)
def test_a_bundle_that_cannot_be_trusted_is_refused_as_a_whole(data: bytes, reason: str) -> None:
    for size in (1, 37, 65536):
        if len(data) / size < 10_000:
            with pytest.raises(InvalidInputError, match=reason):
                read(data, size)


def test_sixty_megabytes_of_empty_lists_are_refused_early() -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        yield START + b'{"mac": "02:00:00:00:00:01", "hw_lshw": ['
        for _ in range(240):
            taken += 262_143
            yield b"[]," * 87_381

    with pytest.raises(InvalidInputError, match="more than 1,000,000 values"):
        list(BundleReader(endless()).machines())
    assert taken < 8_000_000


@pytest.mark.parametrize("before", [b'{"x": "', START + b'{"mac": "'])
def test_an_endless_string_is_refused_at_the_bound(before: bytes) -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        yield before
        for _ in range(1000):
            taken += 262_144
            yield b"a" * 262_144

    with pytest.raises(InvalidInputError, match="larger than 16 MiB"):
        list(BundleReader(endless()).machines())
    assert taken < 40_000_000


def test_a_machine_of_the_largest_size_is_read_and_a_larger_one_rejected() -> None:
    largest = b'{"mac": "02:00:00:00:00:01", "hw_lshw": ["' + b"x" * (4 * 1024**2 - 4) + b'"]}'
    larger = b'{"mac": "02:00:00:00:00:02", "hw_lshw": ["' + b"x" * (4 * 1024**2 - 3) + b'"]}'

    first, second = read(START + largest + b"," + larger + b"]}")

    assert isinstance(first, HardwareRecord)
    assert isinstance(second, Rejected)


def test_a_window_is_counted_once_however_many_machines_it_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    large = b'{"mac": "02:00:00:00:00:01", "hw_lshw": ["' + b"x" * (4 * 1024**2 - 4) + b'"]}'
    small = b', {"x": "' + b"x" * 1000 + b'"}'
    counted = 0
    real = json_bounds.nodes

    def counting(text: str, start: int = 0) -> int:
        nonlocal counted
        counted += 1
        return real(text, start)

    monkeypatch.setattr(json_bounds, "nodes", counting)

    machines = read(START + large + small * 5000 + b"]}", 16 * 1024 * 1024)

    assert len(machines) == 5001
    assert counted < 10


def test_golden_bundles_stay_readable() -> None:
    for folder in sorted(Path(GOLDEN).iterdir()):
        machines = read((folder / "inventory.json").read_bytes())

        assert all(isinstance(machine, HardwareRecord) for machine in machines), folder

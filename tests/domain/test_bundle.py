from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bty_app.domain import bundle
from bty_app.domain.bundle import HardwareRecord, PrettyRecord, Rejected
from bty_app.domain.mac import Mac
from bty_app.errors import InvalidInputError

AT = "2026-11-22T19:07:18.570473+00:00"
GOLDEN = Path(__file__).parents[1] / "data" / "bundles"
DISK = {
    "model": "INTEL SSD",
    "path": "/dev/sda",
    "readonly": False,
    "removable": False,
    "serial": "S-1",
    "size": "480G",
    "tran": "sata",
    "vendor": None,
}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=25,
)
CONTAINERS = JSON.filter(lambda value: isinstance(value, dict | list))


def text_of(*machines: PrettyRecord) -> str:
    return "".join(bundle.bundle_text(machines, exported_at=AT, version="0.90.0"))


def pretty(value: object) -> str | None:
    return bundle.pretty(json.dumps(value), limit=bundle.MAX_LSHW_TEXT)


@pytest.mark.parametrize("name", ["empty", "two-machines"])
def test_a_golden_bundle_is_written_byte_for_byte(name: str) -> None:
    golden = (GOLDEN / name / "inventory.json").read_text(encoding="ascii")
    whole = json.loads(golden)

    text = text_of(
        *(
            PrettyRecord(
                Mac(machine["mac"]),
                pretty(machine["known_disks"]),
                machine["known_disks_at"],
                pretty(machine["hw_lshw"]),
                machine["hw_lshw_at"],
            )
            for machine in whole["machines"]
        )
    )

    assert text == golden
    assert text == json.dumps(whole, indent=2) + "\n"


@settings(deadline=None)
@given(st.lists(st.tuples(CONTAINERS | st.none(), st.none() | st.just(AT)), max_size=3))
def test_the_text_is_what_json_dumps_with_indent_2_gives(
    columns: list[tuple[Any, str | None]],
) -> None:
    macs = [Mac(f"02:00:00:00:00:{number:02x}") for number in range(len(columns))]
    expected = {
        "bty_export_version": 3,
        "exported_at": AT,
        "exported_by_bty_version": "0.90.0",
        "machines": [
            {"mac": mac, "known_disks": v, "known_disks_at": at, "hw_lshw": v, "hw_lshw_at": at}
            for mac, (v, at) in zip(macs, columns, strict=True)
        ],
    }

    text = text_of(
        *(
            PrettyRecord(mac, pretty(v), at, pretty(v), at)
            for mac, (v, at) in zip(macs, columns, strict=True)
        )
    )

    assert text == json.dumps(expected, indent=2) + "\n"


@pytest.mark.parametrize(
    "stored",
    ["", "{", "{'a': 1}", "[1,]", "// no", "[" * 5000 + "]" * 5000, '{"a" 1}', '"\\x"', "\0"],
)
def test_malformed_text_has_no_place_in_a_bundle(stored: str) -> None:
    assert bundle.pretty(stored, limit=1000) is None


def test_what_grows_too_large_with_its_indentation_has_no_place_in_a_bundle() -> None:
    stored = "[" * 60 + ",".join(["1"] * 10_000) + "]" * 60

    assert bundle.pretty(stored, limit=1_000_000) is None
    assert bundle.pretty(stored, limit=2_000_000) is not None


def test_a_nan_that_the_original_stored_is_written_as_null() -> None:
    written = bundle.pretty('{"a": NaN, "b": [1e999]}', limit=1000)

    assert written is not None
    assert json.loads(written) == {"a": None, "b": [None]}


@settings(deadline=None)
@given(JSON)
def test_what_json_dumps_writes_is_recognised(value: object) -> None:
    assert bundle.is_as_dumped(json.dumps(value))
    assert bundle.is_as_dumped(json.dumps(value, separators=(",", ":")))


@pytest.mark.parametrize(
    "stored",
    ['{"a":1,"a":2}', '["\\u0041"]', '["\\/"]', "[1E5]", "[-0]", "[1.50]", "[NaN]", '["\x7f"]'],
)
def test_other_spellings_are_not_taken_for_it(stored: str) -> None:
    assert not bundle.is_as_dumped(stored)


@pytest.mark.parametrize("value", [3, 3.0])
def test_version_3_is_accepted(value: object) -> None:
    bundle.check_version(value)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (1, "old version 1"),
        (2, "old version 2"),
        (4, "is 4"),
        (True, "is true"),
        ("3", 'is "3"'),
        (None, "is null"),
        ([3], "is \\[3\\]"),
        (2.0, "is 2.0"),
    ],
)
def test_other_versions_are_refused_by_name(value: object, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        bundle.check_version(value)


def test_a_whole_machine_is_taken_in_canonical_form() -> None:
    machine = {
        "mac": "AA-BB-CC-DD-EE-0F",
        "known_disks": [DISK | {"type": "disk", "mountpoints": ["/"]}],
        "known_disks_at": "2026-11-22T20:07:18+01:00",
        "hw_lshw": {"id": "é", "n": 1},
        "hw_lshw_at": "2026-11-22T19:07:18",
        "later": [1],
    }

    assert bundle.parse_machine(1, machine) == HardwareRecord(
        Mac("aa:bb:cc:dd:ee:0f"),
        json.dumps([DISK], separators=(",", ":")),
        "2026-11-22T19:07:18.000000+00:00",
        '{"id":"\\u00e9","n":1}',
        "2026-11-22T19:07:18.000000+00:00",
    )


def test_columns_that_are_json_in_a_string_are_taken() -> None:
    machine = {"mac": "02:00:00:00:00:01", "known_disks": json.dumps([DISK]), "hw_lshw": "null"}

    taken = bundle.parse_machine(1, machine)

    assert isinstance(taken, HardwareRecord)
    assert taken.known_disks == json.dumps([DISK], separators=(",", ":"))
    assert taken.hw_lshw is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"mac": None}, "mac is not text"),
        ({"mac": "ZZ"}, "invalid MAC"),
        ({"mac": 5}, "mac is not text"),
        ({"known_disks": {}}, "must be a list"),
        ({"known_disks": 7}, "must be a list"),
        ({"known_disks": [1]}, "must be an object"),
        ({"known_disks": [{"path": "/dev/sda", "size": 5}]}, "size"),
        ({"known_disks": [{"path": "/dev/sda", "serial": "a\nb"}]}, "serial"),
        ({"known_disks": [{"path": "/dev/sda", "model": "\ud800"}]}, "surrogate|control"),
        ({"known_disks": "{"}, "known_disks: not JSON"),
        ({"hw_lshw": 5}, "hw_lshw"),
        ({"hw_lshw": True}, "hw_lshw"),
        ({"hw_lshw": "5"}, "hw_lshw"),
        ({"hw_lshw": "[" * 500 + "]" * 500}, "nested deeper"),
        ({"hw_lshw": {"a": "\0"}}, "NUL"),
        ({"hw_lshw": {"a": "\ud83d"}}, "surrogate"),
        ({"hw_lshw": ["x" * (4 * 1024 * 1024)]}, "larger than 4 MiB"),
        ({"known_disks_at": 5}, "known_disks_at"),
        ({"known_disks_at": "yesterday"}, "known_disks_at"),
        ({"hw_lshw_at": "0001-01-01T00:00:00+14:00"}, "hw_lshw_at"),
        ({"hw_lshw_at": "2026-13-01"}, "hw_lshw_at"),
    ],
)
def test_a_machine_that_breaks_a_rule_is_rejected_with_the_reason(
    change: dict[str, object], reason: str
) -> None:
    machine = {"mac": "02:00:00:00:00:01", "known_disks": [DISK], "hw_lshw": {}} | change

    rejected = bundle.parse_machine(7, machine)

    assert isinstance(rejected, Rejected)
    assert rejected.position == 7
    assert re.search(reason, rejected.reason)

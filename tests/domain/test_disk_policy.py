"""What a word for a disk means, and when it means none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.disk_contents import contents
from bty_app.domain.disk_policy import Policy, resolve
from bty_app.domain.reported_disks import Disk, disks_of


def disk(serial: str, size: str, tran: str = "sata", **more: object) -> dict[str, object]:
    return {"path": f"/dev/{serial or 'x'}", "serial": serial, "size": size, "tran": tran, **more}


def of(*found: dict[str, object]) -> tuple[Disk, ...] | None:
    return disks_of(json.dumps(found))


MIXED = of(
    disk("A", "1.8T"),
    disk("B", "476.9G", "nvme"),
    disk("C", "953.9G", "nvme"),
    disk("U", "28.7G", "usb", removable=True),
)


@pytest.mark.parametrize(
    ("policy", "serial"),
    [
        (Policy.ONLY, None),
        (Policy.SMALLEST, "B"),
        (Policy.LARGEST, "A"),
        (Policy.SMALLEST_NVME, "B"),
        (Policy.LARGEST_NVME, "C"),
        (Policy.SMALLEST_SATA, "A"),
    ],
)
def test_a_word_means_one_disk(policy: Policy, serial: str | None) -> None:
    choice = resolve(policy, MIXED)

    assert choice.serial == serial
    assert bool(choice.why_not) == (serial is None)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (None, "no inventory"),
        (of(), "no fixed disk"),
        (of(disk("", "10G")), "no serial"),
        (of(disk("U", "10G", removable=True)), "no fixed disk"),
        (of(disk("R", "10G", readonly=True)), "no fixed disk"),
        (of(disk("A", "10G"), disk("B", "20G")), "2 disks"),
    ],
)
def test_the_only_disk_is_none_where_it_is_not_sure(
    found: tuple[Disk, ...] | None, why: str
) -> None:
    assert why in resolve(Policy.ONLY, found).why_not


def test_two_of_one_size_or_one_without_a_size_or_with_a_twin_are_none() -> None:
    assert "same size" in resolve(Policy.SMALLEST, of(disk("A", "9G"), disk("B", "9G"))).why_not
    assert "not known" in resolve(Policy.SMALLEST, of(disk("A", "?"), disk("B", "9G"))).why_not
    twins = of(disk("A", "9G"), disk("A", "10G"))
    assert "same serial" in resolve(Policy.SMALLEST, twins).why_not


disks = st.builds(
    disk,
    st.sampled_from(["", "A", "B", "C", "D"]),
    st.sampled_from(["9G", "9.0G", "476.9G", "1,8T", "", "x"]),
    st.sampled_from(["nvme", "sata", "usb"]),
    removable=st.booleans(),
    readonly=st.booleans(),
)


@given(st.sampled_from(Policy), st.lists(disks, max_size=6))
def test_what_is_meant_is_a_fit_disk_of_a_serial_that_is_there_once(
    policy: Policy, found: list[dict[str, object]]
) -> None:
    choice = resolve(policy, of(*found))

    if choice.disk is None:
        assert choice.why_not
        return
    assert [d["serial"] for d in found].count(choice.serial) == 1
    assert choice.disk.unfit == ""
    assert not choice.disk.removable


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"children": 3}', "[" * 90 + "]" * 90])
def test_a_tree_that_says_nothing_shows_nothing(text: str | None) -> None:
    assert contents(text, "A") == ()


@pytest.mark.parametrize(
    ("vendor", "label"),
    [
        ("ATA", "1.8 TiB Disk 2000 (sata)"),
        ("NVMe", "1.8 TiB Disk 2000 (sata)"),
        ("Kingston ", "1.8 TiB Kingston Disk 2000 (sata)"),
        (None, "1.8 TiB Disk 2000 (sata)"),
    ],
)
def test_a_vendor_that_is_none_is_left_out(vendor: str | None, label: str) -> None:
    [found] = of(disk("A", "1.8T", vendor=vendor, model=" Disk 2000 ")) or ()

    assert found.label == label

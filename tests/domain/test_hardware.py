"""What a machine is made of, and what is different."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.hardware import (
    Facts,
    Part,
    architecture,
    architecture_in,
    as_text,
    digest,
    facts_of,
    from_text,
    known_before,
    volumes,
)
from bty_app.domain.hardware_diff import How, diff
from bty_app.domain.image_fit import doubts, impossible, most_bytes
from bty_app.domain.image_source import ImageRef

GIB = 2**30


def disk(serial: str | None, size: str = "1.8T", model: str = "WDC") -> dict[str, object]:
    return {"path": "/dev/sda", "size": size, "model": model, "serial": serial}


def tree(**changes: Any) -> dict[str, Any]:
    banks = changes.get("banks", [8 * GIB, 8 * GIB])
    return {
        "id": "box",
        "class": "system",
        "vendor": "Dell",
        "product": "R640",
        "serial": changes.get("system", "TAG1"),
        "children": [
            {
                "id": "core",
                "class": "bus",
                "product": "0X1",
                "serial": changes.get("board", "B1"),
                "children": [
                    {
                        "id": "firmware",
                        "class": "memory",
                        "version": changes.get("bios", "1.0"),
                        "size": 65536,
                    },
                    {
                        "id": "memory",
                        "class": "memory",
                        "size": changes.get("memory", 16 * GIB),
                        "children": [
                            *(
                                {"id": f"bank:{n}", "class": "memory", "size": size}
                                for n, size in enumerate(banks)
                            ),
                            {"id": "bank:9", "class": "memory", "description": "[empty]"},
                        ],
                    },
                    *(
                        {
                            "id": f"cpu:{n}",
                            "class": "processor",
                            "product": "Xeon",
                            "size": changes.get("clock", 2_000_000_000),
                            "capabilities": {"fpu": True, "x86-64": True},
                        }
                        for n in range(2)
                    ),
                    *(
                        {
                            "id": f"network:{n}",
                            "class": "network",
                            "product": "X540",
                            "businfo": "pci@0",
                            "serial": mac,
                        }
                        for n, mac in enumerate(changes.get("macs", ["52:54:00:00:00:01"]))
                    ),
                    {"id": "network", "class": "network", "serial": "aa:aa:aa:aa:aa:aa"},
                    {
                        "id": "disk",
                        "class": "disk",
                        "serial": "S1",
                        "children": [
                            {
                                "id": "volume:0",
                                "class": "volume",
                                "logicalname": "/dev/sda1",
                                "size": GIB,
                                "configuration": {"filesystem": "ext4"},
                            },
                            {
                                "id": "volume:1",
                                "class": "volume",
                                "capacity": 5,
                                "description": "Linux swap",
                            },
                        ],
                    },
                ],
            }
        ],
    }


def words(before: Facts, after: Facts) -> list[str]:
    return [change.words for change in diff(before, after)]


def test_the_facts_of_a_server() -> None:
    facts = facts_of([disk("S1")], tree())

    assert facts.memory_bytes == 16 * GIB
    assert facts.cpus == ("Xeon", "Xeon")
    assert facts.nics == (Part("52:54:00:00:00:01", "X540"),)
    assert (facts.system, facts.board, facts.firmware) == ("Dell R640 TAG1", "0X1 B1", "1.0")
    assert architecture(tree()) == "x86_64"


def test_the_processors_say_what_they_are() -> None:
    def of(*capabilities: str) -> object:
        cpu = {"class": "processor", "capabilities": dict.fromkeys(capabilities, True)}
        return {"class": "system", "children": [{"class": "bus", "children": [cpu]}]}

    assert architecture(of("fp", "asimd", "evtstrm", "crc32", "cpuid")) == "arm64"
    assert architecture(of("fpu", "vme")) == "i386"
    assert architecture(of("fpu", "x86-64")) == "x86_64"
    assert architecture(of()) is None
    # As lshw tells it of a machine with UEFI and ACPI.
    system = {"cp15_barrier": True, "setend": True, "swp": True, "tagged_addr_disabled": True}
    by_dmi = {"class": "system", "width": 64, "capabilities": system}
    assert architecture({**by_dmi, "children": [{"class": "processor"}]}) == "arm64"
    assert architecture([{"class": "system", "capabilities": ["x86-64"]}]) is None
    assert architecture_in('{"class": "sys') is None


@pytest.mark.parametrize(
    ("changes", "disks", "told"),
    [
        ({}, [disk("S1"), disk("S2")], ["disk added: 1.8T WDC (serial S2)"]),
        ({}, [], ["disk lost: 1.8T WDC (serial S1)"]),
        (
            {},
            [disk("S9", "2T", "Samsung")],
            ["disk swapped: 1.8T WDC (serial S1) for 2T Samsung (serial S9)"],
        ),
        ({"banks": [8 * GIB]}, [disk("S1")], ["memory changed: 16 GiB is now 8 GiB"]),
        ({"bios": "1.1"}, [disk("S1")], ["firmware changed: 1.0 is now 1.1"]),
        ({"board": "B2"}, [disk("S1")], ["mainboard changed: 0X1 B1 is now 0X1 B2"]),
        (
            {"macs": ["52:54:00:00:00:02"]},
            [disk("S1")],
            ["network card swapped: X540 (MAC 52:54:00:00:00:01) for X540 (MAC 52:54:00:00:00:02)"],
        ),
    ],
)
def test_what_was_swapped_added_and_lost_is_said(
    changes: dict[str, Any], disks: list[object], told: list[str]
) -> None:
    before, after = facts_of([disk("S1")], tree()), facts_of(disks, tree(**changes))

    assert words(before, after) == told
    assert digest(before) != digest(after)


@pytest.mark.parametrize(
    "after",
    [
        facts_of([disk("S1", "1.7T", "wdc")], tree()),
        facts_of([disk("S1")], tree(clock=900_000_000)),
        facts_of([disk("S1")], [tree()]),
    ],
)
def test_noise_is_no_difference(after: Facts) -> None:
    before = facts_of([disk("S1")], tree())

    assert words(before, after) == []
    assert digest(before) == digest(after)


def test_a_memory_size_that_the_kernel_rounds_is_no_difference() -> None:
    some = [facts_of([], tree(banks=[], memory=16 * GIB - part)) for part in (0, 90 * 2**20)]

    assert digest(some[0]) == digest(some[1])


def test_what_an_inventory_does_not_say_is_not_lost() -> None:
    before = facts_of([disk("S1")], tree())
    after = known_before(facts_of([disk("S1")], None), before)

    assert words(before, after) == []
    assert after.memory_bytes == 16 * GIB


parts = st.lists(
    st.builds(Part, st.sampled_from("abcdef"), st.sampled_from(["x", "y"])), max_size=6
).map(tuple)
facts = st.builds(
    Facts,
    disks=parts,
    nics=st.none() | parts,
    cpus=st.none() | st.lists(st.sampled_from("pq"), max_size=3).map(lambda c: tuple(sorted(c))),
    memory_bytes=st.none() | st.integers(1, 9).map(lambda n: n * GIB),
    board=st.none() | st.sampled_from("mn"),
    firmware=st.none() | st.sampled_from("mn"),
    system=st.none() | st.sampled_from("mn"),
)


@given(facts)
def test_nothing_differs_from_itself_and_is_stored_whole(some: Facts) -> None:
    assert diff(some, some) == ()
    assert from_text(as_text(some)) == some


@given(facts, facts)
def test_a_difference_read_backwards_is_the_reverse(before: Facts, after: Facts) -> None:
    turned = {How.ADDED: How.LOST, How.LOST: How.ADDED}
    forth, back = diff(before, after), diff(after, before)

    assert sorted((turned.get(c.how, c.how), c.what, c.after, c.before) for c in forth) == sorted(
        (c.how, c.what, c.before, c.after) for c in back
    )


@given(facts, facts)
def test_the_digest_differs_exactly_where_something_is_told_or_was_unknown(
    before: Facts, after: Facts
) -> None:
    now = known_before(after, before)
    if diff(before, now):
        assert digest(before) != digest(now)


@given(st.lists(st.sampled_from("abcdef"), unique=True, min_size=1), st.randoms())
def test_the_order_of_disks_is_no_difference(serials: list[str], chance: random.Random) -> None:
    disks = [disk(serial) for serial in serials]
    shuffled = chance.sample(disks, len(disks))

    assert as_text(facts_of(disks, None)) == as_text(facts_of(shuffled, None))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["id", "class", "serial", "children", "size", "product", "logicalname"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=30,
)


@given(json_values, json_values)
def test_any_tree_of_a_stranger_has_facts(disks: object, lshw: object) -> None:
    some = facts_of(disks, lshw)

    assert from_text(as_text(some)) == some
    architecture(lshw)
    volumes(lshw, "a")


@pytest.mark.parametrize("text", ["", "{}", "[]", "no", '{"disks": 7}'])
def test_facts_that_others_wrote_are_none(text: str) -> None:
    assert from_text(text) == Facts()


def test_the_partitions_of_a_disk_are_found_by_its_serial() -> None:
    found = volumes(tree(), "S1")

    assert [(v.name, v.filesystem, v.size_bytes) for v in found] == [
        ("/dev/sda1", "ext4", GIB),
        ("Linux swap", "Linux swap", 5),
    ]
    assert volumes(tree(), "S2") == ()
    twins = {"id": "x", "children": [tree(), tree()]}
    assert volumes(twins, "S1") == ()


def entry(**more: Any) -> CatalogEntry:
    return CatalogEntry(ImageRef("a" * 64), "http://x/y", "y", "", **more)


@pytest.mark.parametrize(
    ("image", "disk_bytes", "arch", "refused"),
    [
        (entry(size_bytes=10), 10, "x86_64", False),
        (entry(size_bytes=11), 10, None, True),
        (entry(size_bytes=11), None, None, False),
        (entry(arch="arm64"), None, "x86_64", True),
        (entry(arch="arm64"), None, None, False),
        (entry(arch="i386"), None, "x86_64", False),
        (entry(arch="x86_64"), None, "i386", True),
        (entry(arch="x86_64"), None, "arm64", True),
        (entry(arch="amd64"), None, "arm64", True),
        (entry(arch="amd64"), None, "x86_64", False),
        (entry(arch="aarch64"), None, "arm64", False),
        (entry(arch="arm"), None, "arm64", False),
        (entry(arch="a word of somebody's own"), None, "arm64", False),
    ],
)
def test_an_image_that_cannot_be_is_told_apart(
    image: CatalogEntry, disk_bytes: int | None, arch: str | None, refused: bool
) -> None:
    assert bool(impossible(image, disk_bytes=disk_bytes, arch=arch)) is refused


def test_doubts_are_named() -> None:
    assert len(doubts(entry())) == 2
    assert doubts(entry(disk_image_sha="a" * 64, format="img")) == ()


@given(st.integers(1, 2**60))
def test_a_rounded_size_never_makes_a_disk_smaller_than_it_is(size: int) -> None:
    from bty_app.flasher.inventory import lsblk_size

    most = most_bytes(lsblk_size(size))

    assert most is not None
    assert most >= size


@pytest.mark.parametrize("text", ["", "big", "-1G", "1G ext", "9" * 30 + "G"])
def test_a_size_that_is_none_refuses_nothing(text: str) -> None:
    assert most_bytes(text) is None

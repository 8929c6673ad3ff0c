"""What cannot be on this disk is refused before anything is written."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.errors import (
    CancelledError,
    FlashIntegrityError,
    FlashRefusedError,
    FlashWriteError,
)
from bty_app.flasher import preflight
from bty_app.flasher.device import Disk
from bty_app.flasher.flash import check, flash
from bty_app.flasher.order import Source
from bty_app.flasher.partition_table import layout
from tests.file_host import file_host
from tests.flasher.flashing import (
    QUICK,
    Canceller,
    does_not_boot,
    http,
    is_untouched,
    leaves_nothing_running,
    order,
)
from tests.flasher.images import MIB, PACKERS, disk_file, image
from tests.netboot_set import Listener

DATA = image([("n", 6 * MIB), ("t", 3 * MIB)])
SMALL = 5 * MIB


def gpt(sector: int, size: int) -> bytes:
    """An image of `size` bytes with a partition table for sectors of this size."""
    header = struct.pack("<8sIIIIQQ", b"EFI PART", 0x10000, 92, 0, 0, 1, size // sector - 1)
    data = bytearray(size)
    data[510:512] = b"\x55\xaa"
    data[446:462] = struct.pack("<B3xB3xII", 0, 0xEE, 1, 0xFFFFFFFF)
    data[sector : sector + len(header)] = header
    return bytes(data)


def mbr(first: int, count: int, size: int) -> bytes:
    data = bytearray(size)
    data[510:512] = b"\x55\xaa"
    data[446:462] = struct.pack("<B3xB3xII", 0x80, 0x83, first, count)
    return bytes(data)


def refused(disk: Path, packed: bytes, kind: str, *, sector: int = 512) -> str:
    tools = replace(QUICK, open_device=partial(Disk, sector=sector))
    with (
        file_host(image=packed) as host,
        leaves_nothing_running(),
        pytest.raises(FlashRefusedError) as caught,
    ):
        flash(order(kind, http(host)), str(disk), Listener(), tools=tools)
    assert is_untouched(disk)
    assert caught.value.message.endswith("nothing was written")
    return caught.value.message


@pytest.mark.parametrize("name", ["raw", "gzip", "xz", "xz, many blocks", "zstd, of a known size"])
def test_an_image_that_says_it_is_larger_than_the_disk_is_refused(
    name: str, tmp_path: Path
) -> None:
    kind, pack = PACKERS[name]
    packed = pack(DATA)
    disk = disk_file(tmp_path / "disk", SMALL)

    sentence = refused(disk, packed, kind)

    assert "does not fit" in sentence
    assert str(disk) in sentence


def test_a_size_in_the_last_bytes_of_a_gzip_file_is_told_as_what_it_is(tmp_path: Path) -> None:
    """Of a file that was cut off they are any, and here they could be a size."""
    packed = PACKERS["gzip"][1](DATA)
    disk = disk_file(tmp_path / "disk", SMALL)

    sentence = refused(disk, packed[: len(packed) // 2] + (6 * MIB).to_bytes(4, "little"), "img.gz")

    assert "the last 4 bytes of the image's file say" in sentence
    assert "or the file is cut off" in sentence


def test_a_size_that_no_gzip_file_of_this_length_can_have_is_damage(tmp_path: Path) -> None:
    packed = PACKERS["gzip"][1](bytes(MIB))[:500] + b"\xff\xff\xff\xf0"
    disk = disk_file(tmp_path / "disk", SMALL)

    with file_host(image=packed) as host, pytest.raises(FlashIntegrityError) as caught:
        flash(order("img.gz", http(host)), str(disk), Listener(), tools=QUICK)

    assert is_untouched(disk)
    assert "cut off, or damaged; nothing was written" in caught.value.message
    assert "fit" not in caught.value.message


def test_the_densest_gzip_file_there_is_counts_as_one(tmp_path: Path) -> None:
    packed = PACKERS["gzip"][1](bytes(64 * MIB))
    disk = disk_file(tmp_path / "disk", SMALL)

    assert "it does not fit" in refused(disk, packed, "img.gz")


def test_a_cut_off_gzip_file_is_followed_by_the_next_source(tmp_path: Path) -> None:
    whole = PACKERS["gzip"][1](DATA)
    cut = whole[: len(whole) // 2] + b"\xff\xff\xff\x7f"
    disk = disk_file(tmp_path / "disk", len(DATA))
    with file_host(cut=cut, whole=whole) as host:
        sources = http(host, "cut", "mirror"), http(host, "whole")
        outcome = flash(order("img.gz", *sources, of=whole), str(disk), Listener(), tools=QUICK)

    assert disk.read_bytes() == DATA
    assert [source.label for source in outcome.sources_used] == ["origin"]


# -- a look without a write --------------------------------------------------------------------


def looked_at(disk: Path, packed: bytes, kind: str, *, sector: int = 512) -> None:
    tools = replace(QUICK, open_device=partial(Disk, sector=sector))
    try:
        with file_host(image=packed) as host, leaves_nothing_running():
            check(order(kind, http(host)), str(disk), Listener(), tools=tools)
    finally:
        assert is_untouched(disk)


@pytest.mark.parametrize("name", PACKERS)
def test_a_look_at_a_good_image_writes_nothing(name: str, tmp_path: Path) -> None:
    kind, pack = PACKERS[name]

    looked_at(disk_file(tmp_path / "disk", len(DATA)), pack(DATA), kind)


@pytest.mark.parametrize("name", ["raw", "gzip", "xz", "xz, many blocks", "zstd, of a known size"])
def test_a_look_refuses_what_does_not_fit(name: str, tmp_path: Path) -> None:
    kind, pack = PACKERS[name]

    with pytest.raises(FlashRefusedError, match=r"does not fit.*nothing was written"):
        looked_at(disk_file(tmp_path / "disk", SMALL), pack(DATA), kind)


def test_a_look_refuses_a_partition_table_for_other_sectors(tmp_path: Path) -> None:
    packed = PACKERS["bzip2"][1](gpt(512, 8 * MIB))

    with pytest.raises(FlashRefusedError, match="for sectors of 512 bytes"):
        looked_at(disk_file(tmp_path / "disk", 9 * MIB), packed, "img.bz2", sector=4096)


@pytest.mark.parametrize(("kind", "packed"), [("img", b""), ("img.gz", b"rubbish" * 99)])
def test_a_look_refuses_what_is_no_image(kind: str, packed: bytes, tmp_path: Path) -> None:
    with pytest.raises(FlashIntegrityError, match="nothing was written"):
        looked_at(disk_file(tmp_path / "disk", SMALL), packed, kind)


def test_a_look_ends_with_the_first_source_that_has_the_image(tmp_path: Path) -> None:
    disk = disk_file(tmp_path / "disk", len(DATA))
    with file_host(good=DATA, bad=b"") as host, leaves_nothing_running():
        sources = http(host, "none"), http(host, "bad"), http(host, "good")
        check(order("img", *sources), str(disk), Listener(), tools=QUICK)

    assert is_untouched(disk)


def test_a_look_that_is_stopped_says_what_the_disk_is(tmp_path: Path) -> None:
    disk = disk_file(tmp_path / "disk", len(DATA))
    with file_host(image=DATA) as host, leaves_nothing_running():
        host.stall_after = 0
        with pytest.raises(CancelledError, match="cancelled; nothing was written"):
            check(order("img", http(host)), str(disk), Canceller(bool), tools=QUICK)

    assert is_untouched(disk)


def test_an_image_that_does_not_say_so_fails_and_does_not_boot(tmp_path: Path) -> None:
    kind, pack = PACKERS["bzip2"]
    disk = disk_file(tmp_path / "disk", SMALL)
    source = tmp_path / "source"
    source.write_bytes(pack(DATA))

    with leaves_nothing_running(), pytest.raises(FlashWriteError, match=r"larger than .*boot"):
        flash(order(kind, Source("file", str(source))), str(disk), Listener())

    assert does_not_boot(disk)


@pytest.mark.parametrize("name", ["raw", "gzip", "zstd, frames of 4 MiB", "bzip2"])
@pytest.mark.parametrize(("made_for", "sector"), [(512, 4096), (4096, 512)])
def test_a_partition_table_for_other_sectors_is_refused(
    made_for: int, sector: int, name: str, tmp_path: Path
) -> None:
    kind, pack = PACKERS[name]
    disk = disk_file(tmp_path / "disk", 9 * MIB)

    sentence = refused(disk, pack(gpt(made_for, 8 * MIB)), kind, sector=sector)

    assert f"for sectors of {made_for} bytes" in sentence
    assert f"has sectors of {sector}" in sentence


@pytest.mark.parametrize("sector", [512, 4096])
def test_a_partition_table_for_these_sectors_is_written(sector: int, tmp_path: Path) -> None:
    data = gpt(sector, 8 * MIB)
    disk = disk_file(tmp_path / "disk", 8 * MIB)
    tools = replace(QUICK, open_device=partial(Disk, sector=sector))
    with file_host(image=PACKERS["gzip"][1](data)) as host:
        flash(order("img.gz", http(host)), str(disk), Listener(), tools=tools)

    assert disk.read_bytes() == data


@pytest.mark.parametrize("make", [partial(gpt, 512), partial(mbr, 2048, 8 * 2048 - 2048)])
def test_an_image_whose_partitions_end_behind_the_disk_is_refused(
    make: Callable[[int], bytes], tmp_path: Path
) -> None:
    disk = disk_file(tmp_path / "disk", 7 * MIB)

    sentence = refused(disk, PACKERS["bzip2"][1](make(8 * MIB)), "img.bz2")

    assert f"for a disk of {8 * MIB} bytes" in sentence


def test_a_boot_sector_of_a_file_system_is_no_partition_table() -> None:
    sector = bytearray(b"\xeb\x58\x90mkfs.fat" + bytes(499) + b"\x55\xaa")
    sector[446:510] = b"This is not a bootable disk. Please insert a bootable floppy and"

    assert layout(bytes(sector), sector=512).needs == 0


@given(head=st.binary(max_size=9000), sector=st.sampled_from([512, 4096]))
def test_no_bytes_confuse_the_look_at_a_partition_table(head: bytes, sector: int) -> None:
    assert layout(head, sector=sector).needs >= 0


@given(
    kind=st.sampled_from(["img", "img.gz", "img.xz", "img.zst", "img.bz2", "qcow2"]),
    head=st.binary(max_size=200),
    tail=st.none() | st.binary(max_size=400),
    total=st.none() | st.integers(0, 2**60),
)
def test_no_bytes_confuse_the_look_at_a_size(
    kind: str, head: bytes, tail: bytes | None, total: int | None
) -> None:
    assert preflight.least_size(kind, head, tail, total) >= 0

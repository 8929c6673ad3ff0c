"""A .bmap file is believed: what it leaves out is zero, what it has a checksum of is checked."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.errors import FlashError, FlashIntegrityError, FlashRefusedError
from bty_app.flasher import bmap
from bty_app.flasher.flash import flash
from bty_app.flasher.order import Source
from tests.flasher.flashing import (
    QUICK,
    does_not_boot,
    is_untouched,
    leaves_nothing_running,
    order,
)
from tests.flasher.images import MIB, PACKERS, disk_file, expected_disk, image
from tests.netboot_set import Listener

# Zeros that are holes, zeros that are not, and an end within a block.
DATA = image([("n", 300_000), ("0", 5 * MIB), ("t", 100_000), ("0", 9 * MIB), ("n", 70_001)])


@pytest.fixture
def made(tmp_path: Path) -> bytes:
    """What bmaptool makes of the image."""
    assert shutil.which("bmaptool"), "the program bmaptool is missing: tests/run installs it"
    sparse = tmp_path / "sparse"
    plain = tmp_path / "plain"
    plain.write_bytes(DATA)
    subprocess.run(("cp", "--sparse=always", str(plain), str(sparse)), check=True)
    command = ("bmaptool", "create", str(sparse), "-o", str(tmp_path / "bmap"))
    subprocess.run(command, check=True, capture_output=True)
    return (tmp_path / "bmap").read_bytes()


def flashed(tmp_path: Path, data: bytes, given: bytes, name: str = "raw") -> Path:
    kind, pack = PACKERS[name]
    source, disk = tmp_path / "source", tmp_path / "disk"
    source.write_bytes(pack(data))
    disk_file(disk, len(DATA) + 3 * MIB)
    wanted = replace(order(kind, Source("file", str(source)), verify=True), bmap=given)
    with leaves_nothing_running():
        flash(wanted, str(disk), Listener(), tools=QUICK)
    return disk


@pytest.mark.parametrize("name", list(PACKERS))
def test_the_disk_has_the_image(name: str, tmp_path: Path, made: bytes) -> None:
    disk = flashed(tmp_path, DATA, made, name)

    assert disk.read_bytes() == expected_disk(DATA, len(DATA) + 3 * MIB)


def test_what_is_not_in_the_map_is_zero_whatever_the_image_says(
    tmp_path: Path, made: bytes
) -> None:
    noisy = bytearray(DATA)
    noisy[2 * MIB : 4 * MIB] = b"x" * 2 * MIB
    noisy[400_000:410_000] = b"y" * 10_000

    disk = flashed(tmp_path, bytes(noisy), made, "gzip")

    assert disk.read_bytes() == expected_disk(DATA, len(DATA) + 3 * MIB)


@pytest.mark.parametrize("at", [0, 299_999, 300_000 + 5 * MIB, len(DATA) - 1])
def test_what_is_in_the_map_and_differs_is_found(at: int, tmp_path: Path, made: bytes) -> None:
    changed = bytearray(DATA)
    changed[at] ^= 1

    with pytest.raises(FlashIntegrityError, match=r"checksum .* is wrong"):
        flashed(tmp_path, bytes(changed), made)

    assert does_not_boot(tmp_path / "disk")


@pytest.mark.parametrize("data", [DATA + b"x", DATA[:-1], DATA[: 6 * MIB]])
def test_an_image_of_another_size_is_found(data: bytes, tmp_path: Path, made: bytes) -> None:
    with pytest.raises(FlashIntegrityError):
        flashed(tmp_path, data, made)

    assert does_not_boot(tmp_path / "disk")


def test_a_map_of_an_image_that_does_not_fit_is_enough_to_refuse_it(
    tmp_path: Path, made: bytes
) -> None:
    source = tmp_path / "source"
    source.write_bytes(PACKERS["bzip2"][1](DATA))
    disk = disk_file(tmp_path / "disk", len(DATA) - MIB)
    wanted = replace(order("img.bz2", Source("file", str(source))), bmap=made)

    with pytest.raises(FlashRefusedError, match="does not fit"):
        flash(wanted, str(disk), Listener(), tools=QUICK)

    assert is_untouched(disk)


def test_a_map_of_another_image_does_not_stop_one_that_its_digest_proves(
    tmp_path: Path, made: bytes
) -> None:
    other = image([("n", 300_000), ("t", 6 * MIB), ("0", 3 * MIB), ("n", 70_001)], seed=5)
    source, disk = tmp_path / "source", disk_file(tmp_path / "disk", len(DATA) + MIB)
    source.write_bytes(other)
    wanted = replace(order("img", Source("file", str(source)), of=other), bmap=made)

    outcome = flash(wanted, str(disk), Listener(), tools=QUICK)

    assert disk.read_bytes() == expected_disk(other, len(DATA) + MIB)
    assert "the .bmap file is passed over: the image is not that" in outcome.notes[0]


@pytest.mark.parametrize("given", [b"", b"no map", b"<bmap/>"])
def test_a_map_that_is_none_is_passed_over(given: bytes, tmp_path: Path) -> None:
    disk = flashed(tmp_path, DATA, given)

    assert disk.read_bytes() == expected_disk(DATA, len(DATA) + 3 * MIB)


OLD = """<?xml version="1.0" ?><bmap version="1.2">
<ImageSize> 10000 </ImageSize><BlockSize> 4096 </BlockSize><BlocksCount> 3 </BlocksCount>
<BlockMap><Range sha1="DA39A3EE5E6B4B0D3255BFEF95601890AFD80709"> 0 </Range><Range> 2-2 </Range>
</BlockMap></bmap>"""


def test_an_old_map_is_read() -> None:
    found = bmap.parse(OLD.encode())

    digest = "da39a3ee5e6b4b0d3255bfef95601890afd80709"
    assert found.algorithm == "sha1"
    assert found.ranges == [bmap.Range(0, 4096, digest), bmap.Range(8192, 10000, None)]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1.2", "3.0"),
        ("<bmap ", "<other "),
        (" 2-2 ", " 3 "),
        (" 2-2 ", " 0 "),
        (" 2-2 ", " 1-0 "),
        (" 2-2 ", " x "),
        (" 4096 ", " 0 "),
        (" 10000 ", ""),
        ("</bmap>", ""),
        ("<BlockMap>", "<ChecksumType> md5 </ChecksumType><BlockMap>"),
        ("<bmap", '<!DOCTYPE b [<!ENTITY x "y">]><bmap'),
        ("<BlockMap>", f"<BmapFileSHA1>{'0' * 40}</BmapFileSHA1><BlockMap>"),
    ],
)
def test_a_map_that_makes_no_sense_is_refused(old: str, new: str, tmp_path: Path) -> None:
    text = OLD.replace(old, new).replace("</other>", "</bmap>")
    if new.startswith("<other"):
        text = text.replace("</bmap>", "</other>")
    assert text != OLD

    with pytest.raises(FlashRefusedError, match=r"\.bmap"):
        bmap.parse(text.encode())


def test_a_map_changed_on_its_way_is_refused(made: bytes) -> None:
    assert bmap.parse(made).size == len(DATA)

    with pytest.raises(FlashRefusedError, match="checksum of itself"):
        bmap.parse(made.replace(b"<BlockSize> 4096", b"<BlockSize> 8192"))


@given(data=st.binary(max_size=500))
def test_no_bytes_confuse_the_parser(data: bytes) -> None:
    with pytest.raises(FlashError):
        bmap.parse(data)

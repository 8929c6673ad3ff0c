"""qcow2 images of every kind that can be written as they come; the others are refused by name."""

from __future__ import annotations

import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bty_app.errors import FlashError, FlashIntegrityError, FlashRefusedError
from bty_app.flasher.flash import flash
from bty_app.flasher.order import Source
from tests.file_host import file_host
from tests.flasher.flashing import (
    QUICK,
    does_not_boot,
    http,
    is_untouched,
    leaves_nothing_running,
    order,
)
from tests.flasher.images import IMAGES, MIB, disk_file, expected_disk, image
from tests.flasher.test_preflight import gpt
from tests.netboot_set import Listener

DATA = image([("t", 70_000), ("n", MIB), ("0", 20 * MIB), ("n", 3 * MIB), ("0", 999), ("t", 513)])
KINDS = {
    "v2": ("-o", "compat=0.10"),
    "v3": ("-o", "compat=1.1"),
    "deflate": ("-c", "-o", "compression_type=zlib"),
    "zstd": ("-c", "-o", "compression_type=zstd"),
    "clusters of 512 bytes": ("-o", "cluster_size=512"),
    "clusters of 2 MiB": ("-c", "-o", "cluster_size=2M"),
    "metadata first": ("-o", "preallocation=metadata"),
    "lazy": ("-o", "lazy_refcounts=on,refcount_bits=1"),
    "zeros not looked for": ("-S", "0"),
    "out of order": ("-W", "-m", "8", "-c"),
}


def qemu_img(*words: str) -> None:
    assert shutil.which("qemu-img"), "the program qemu-img is missing: tests/run installs it"
    subprocess.run(("qemu-img", *words), check=True, capture_output=True)


def converted(tmp_path: Path, data: bytes, *options: str) -> Path:
    plain, made = tmp_path / "plain", tmp_path / "image.qcow2"
    plain.write_bytes(data)
    qemu_img("convert", "-f", "raw", "-O", "qcow2", *options, str(plain), str(made))
    return made


def flashed(made: Path, disk: Path, *, verify: bool = False) -> None:
    with leaves_nothing_running():
        wanted = order("qcow2", Source("file", str(made)), of=made.read_bytes(), verify=verify)
        flash(wanted, str(disk), Listener(), tools=QUICK)


def padded(data: bytes) -> bytes:
    """A disk has whole sectors."""
    return data + bytes(-len(data) % 512)


@pytest.mark.parametrize("kind", list(KINDS))
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=IMAGES, room=st.sampled_from([0, 512, 3 * MIB]))
def test_the_disk_has_the_image(kind: str, data: bytes, room: int, tmp_path: Path) -> None:
    made = converted(tmp_path, data, *KINDS[kind])
    wanted = padded(data)
    disk = disk_file(tmp_path / "disk", len(wanted) + room)

    flashed(made, disk, verify=room == 512)

    assert disk.read_bytes() == expected_disk(wanted, len(wanted) + room)


@pytest.mark.parametrize("cluster", [512, 4096, 65536])
def test_a_file_written_at_random_is_the_disk_that_a_machine_sees(
    cluster: int, tmp_path: Path
) -> None:
    made = tmp_path / "made.qcow2"
    qemu_img("create", "-f", "qcow2", "-o", f"cluster_size={cluster}", str(made), "33M")
    acts = []
    for number in range(200):
        at = (number * 7919 * 4096) % (33 * MIB - 65536)
        pattern = number % 255 + 1
        acts += ["-c", f"write -P {pattern} {at} {5000 + number * 50}"]
        if number % 10 == 0:
            acts += ["-c", f"write -z {at // 2} 70000", "-c", f"discard {at // 3} 40000"]
    subprocess.run(("qemu-io", *acts, str(made)), check=True, capture_output=True)
    # A snapshot that is gone again leaves tables behind data that they list.
    qemu_img("snapshot", "-c", "taken", str(made))
    acts = [act for n in range(0, 33, 4) for act in ("-c", f"write -P 9 {n}M 5000")]
    subprocess.run(("qemu-io", *acts, str(made)), check=True, capture_output=True)
    qemu_img("snapshot", "-d", "taken", str(made))
    qemu_img("resize", str(made), "50M")  # moves the table of clusters of 512 bytes to the end
    raw = tmp_path / "raw"
    qemu_img("convert", "-O", "raw", str(made), str(raw))
    wanted = raw.read_bytes()
    disk = disk_file(tmp_path / "disk", len(wanted) + MIB)

    flashed(made, disk)

    assert disk.read_bytes() == expected_disk(wanted, len(wanted) + MIB)


def test_a_file_with_much_data_before_its_tables_is_written_in_little_memory(
    tmp_path: Path,
) -> None:
    made, disk = tmp_path / "made.qcow2", tmp_path / "disk"
    qemu_img("create", "-f", "qcow2", "-o", "cluster_size=4096", str(made), "600M")
    subprocess.run(
        ("qemu-io", "-c", "write -P 7 0 70M", str(made)), check=True, capture_output=True
    )
    qemu_img("resize", str(made), "3G")  # the table grows, and moves behind the data
    with disk.open("wb") as file:
        file.truncate(3 << 30)

    flashed(made, disk)

    with disk.open("rb") as file:
        assert file.read(70 * MIB) == b"\7" * 70 * MIB
        assert file.read(MIB) == bytes(MIB)


def test_the_beginning_of_the_disk_is_looked_at_wherever_it_is_in_the_file(tmp_path: Path) -> None:
    head, made = tmp_path / "head", tmp_path / "made.qcow2"
    head.write_bytes(gpt(4096, MIB))
    qemu_img("create", "-f", "qcow2", str(made), "30M")
    acts = ("-c", "write -P 7 20M 5M", "-c", f"write -s {head} 0 1M")
    subprocess.run(("qemu-io", *acts, str(made)), check=True, capture_output=True)
    disk = disk_file(tmp_path / "disk", 30 * MIB)

    with pytest.raises(FlashRefusedError, match="for sectors of 4096 bytes"):
        flashed(made, disk)

    assert is_untouched(disk)


def test_it_is_streamed_over_http_in_one_go(tmp_path: Path) -> None:
    made = converted(tmp_path, DATA, "-c").read_bytes()
    disk = disk_file(tmp_path / "disk", 40 * MIB)
    with file_host(image=made) as host, leaves_nothing_running():
        host.die_after = 700_000

        flash(order("qcow2", http(host)), str(disk), Listener(), tools=QUICK)

        assert host.sent == len(made)
    assert disk.read_bytes() == expected_disk(padded(DATA), 40 * MIB)


def test_a_block_map_beside_it_is_of_something_else(tmp_path: Path) -> None:
    made = converted(tmp_path, DATA)
    disk = disk_file(tmp_path / "disk", 40 * MIB)
    wanted = replace(order("qcow2", Source("file", str(made))), bmap=b"<bmap version='2.0'/>")

    outcome = flash(wanted, str(disk), Listener(), tools=QUICK)

    assert disk.read_bytes() == expected_disk(padded(DATA), 40 * MIB)
    assert "passed over" in outcome.notes[0]


def test_one_that_is_larger_than_the_disk_is_refused(tmp_path: Path) -> None:
    made = converted(tmp_path, DATA, "-c")
    disk = disk_file(tmp_path / "disk", 20 * MIB)

    with pytest.raises(FlashRefusedError, match="does not fit"):
        flashed(made, disk)

    assert is_untouched(disk)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.99])
def test_one_that_is_cut_off_leaves_a_disk_that_does_not_boot(share: float, tmp_path: Path) -> None:
    made = converted(tmp_path, DATA, "-c")
    with made.open("r+b") as file:
        file.truncate(int(made.stat().st_size * share))
    disk = disk_file(tmp_path / "disk", 40 * MIB)

    with pytest.raises(FlashIntegrityError):
        flashed(made, disk)

    assert is_untouched(disk) or does_not_boot(disk)


@pytest.mark.parametrize(
    ("at", "value", "word"),
    [
        (8, struct.pack(">Q", 500), "backing file"),
        (32, struct.pack(">I", 2), "encrypted"),
        (60, struct.pack(">I", 1), "snapshots"),
        (72, struct.pack(">Q", 1 << 1), "corrupt"),
        (72, struct.pack(">Q", 1 << 2), "another file"),
        (72, struct.pack(">Q", 1 << 4), "subclusters"),
        (72, struct.pack(">Q", 1 << 17), "not known here"),
    ],
)
def test_what_cannot_be_written_is_refused_by_name(
    at: int, value: bytes, word: str, tmp_path: Path
) -> None:
    made = converted(tmp_path, DATA)
    with made.open("r+b") as file:
        file.seek(at)
        file.write(value)
    disk = disk_file(tmp_path / "disk", 40 * MIB)

    with pytest.raises(FlashRefusedError, match=word):
        flashed(made, disk)

    assert is_untouched(disk)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, 5 * 65536 - 1), st.integers(0, 255)), min_size=1, max_size=5
    )
)
def test_no_change_of_the_tables_does_anything_but_fail(
    changes: list[tuple[int, int]], tmp_path: Path
) -> None:
    data = bytearray(converted(tmp_path, DATA, "-c").read_bytes())
    for at, value in changes:
        data[at % len(data)] = value
    made = tmp_path / "changed"
    made.write_bytes(data)
    disk = disk_file(tmp_path / "disk", 30 * MIB)

    failure: FlashError | None = None
    try:
        flashed(made, disk)
    except FlashError as error:
        failure = error
    if failure is not None:
        assert "the flasher failed" not in failure.message
        assert is_untouched(disk) or does_not_boot(disk)
    assert disk.stat().st_size == 30 * MIB

"""Whatever an image looks like and however it is packed, the disk reads back as the image."""

from __future__ import annotations

import hashlib
import subprocess
from collections import deque
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bty_app.errors import FlashError, FlashIntegrityError
from bty_app.flasher import bzip2_blocks, isal, liblzma
from bty_app.flasher.bzip2_marks import Bits, Mark
from bty_app.flasher.decoder import xz_streams
from bty_app.flasher.decoders import DECODERS, Row, decoder_of, program
from bty_app.flasher.flash import Order, Outcome, Source, Tools, flash
from bty_app.flasher.memory import Buffer
from tests.flasher.flashing import is_as_said
from tests.flasher.images import (
    IMAGES,
    MIB,
    PACKERS,
    decoded,
    disk_file,
    expected_disk,
    image,
    loop_device,
)
from tests.netboot_set import Listener

EXAMPLES = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SAMPLE = image([("t", 70_000), ("0", 300_000), ("n", 1_500_001), ("0", 9 * MIB), ("t", 12_345)])
# qcow2 has tests of its own.
KINDS = [kind for kind in DECODERS if kind != "qcow2"]
# What takes over where liblzma cannot be called in place.
PLAIN_XZ = Row("lzma of Python", lambda: True, lambda sink, _flow: xz_streams(sink))
IN_PLACE_XZ = Row(
    "liblzma in place", liblzma.available, lambda sink, _flow: liblzma.xz_in_place(sink)
)
ROWS = [(kind, row) for kind in KINDS for row in DECODERS[kind]]
ROWS += [("img.xz", PLAIN_XZ), ("img.xz", IN_PLACE_XZ)]
# Where a flipped bit may go unnoticed but for the digest of the whole.
UNPROTECTED = {"xz without checksums", "zstd, frames of all sizes"}


def flashed(
    tmp_path: Path, packed: bytes, kind: str, disk: Path | str, verify: bool = False
) -> Outcome:
    source = tmp_path / "source"
    source.write_bytes(packed)
    digest = hashlib.sha256(packed).hexdigest()
    order = Order((Source("file", str(source)),), kind, digest, len(packed), verify=verify)
    return flash(order, str(disk), Listener())


@pytest.mark.parametrize("name", list(PACKERS))
@EXAMPLES
@given(data=IMAGES, room=st.sampled_from([0, 1, 511, 4096, 70_000, 3 * MIB + 17]))
def test_the_disk_has_the_image_and_nothing_else_was_touched(
    name: str, data: bytes, room: int, tmp_path: Path
) -> None:
    kind, pack = PACKERS[name]
    disk = disk_file(tmp_path / "disk", len(data) + room)

    outcome = flashed(tmp_path, pack(data), kind, disk, verify=room == 511)

    assert disk.read_bytes() == expected_disk(data, len(data) + room)
    assert outcome.bytes_image == len(data)
    assert outcome.bytes_written + outcome.bytes_zeroed >= len(data)


@pytest.mark.parametrize("sector", [512, 4096])
@pytest.mark.parametrize("name", ["raw", "gzip", "zstd, frames of 4 MiB"])
@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=IMAGES, room=st.integers(0, 700))
def test_a_block_device_has_the_image_and_nothing_else_was_touched(
    sector: int, name: str, data: bytes, room: int, tmp_path: Path
) -> None:
    kind, pack = PACKERS[name]
    size = -(-len(data) // sector) * sector + room * sector
    disk = disk_file(tmp_path / "disk", size)

    with loop_device(disk, sector=sector) as device:
        flashed(tmp_path, pack(data), kind, device, verify=True)
        subprocess.run(("blockdev", "--flushbufs", device), check=True)
        found = Path(device).read_bytes()

    assert found == expected_disk(data, size)


@pytest.mark.parametrize(("kind", "row"), ROWS, ids=lambda one: getattr(one, "name", one))
@settings(max_examples=12, deadline=None)
@given(cuts=st.lists(st.integers(0, 2**31), max_size=12))
def test_every_decoder_gives_the_same_however_its_input_is_cut(
    kind: str, row: Row, cuts: Sequence[int]
) -> None:
    assert row.is_here(), f"{row.name} is missing: tests/run installs it"
    for packed in _packed(SAMPLE, kind):
        places = sorted({0, len(packed), *(cut % (len(packed) + 1) for cut in cuts)})
        chunks = [packed[a:b] for a, b in pairwise(places)]

        assert decoded(row, chunks) == SAMPLE


@pytest.mark.parametrize(("kind", "row"), ROWS, ids=lambda one: getattr(one, "name", one))
def test_every_decoder_takes_single_bytes(kind: str, row: Row) -> None:
    data = image([("t", 500), ("0", 5000), ("n", 100)])

    for packed in _packed(data, kind):
        assert decoded(row, [bytes([byte]) for byte in packed]) == data


@cache
def _packed(data: bytes, kind: str, *, protected: bool = False) -> Sequence[bytes]:
    left_out = UNPROTECTED if protected else set()
    named = {name: row for name, row in PACKERS.items() if name not in left_out}
    return [pack(data) for found, pack in named.values() if found == kind]


DAMAGED = [(kind, row) for kind, row in ROWS if kind != "img"]


@pytest.mark.parametrize(("kind", "row"), DAMAGED, ids=lambda one: getattr(one, "name", one))
def test_every_decoder_refuses_what_is_cut_off(kind: str, row: Row) -> None:
    packed = _packed(SAMPLE, kind)[0]
    for end in (0, 1, 5, 17, 100, len(packed) // 2, len(packed) - 9, len(packed) - 1):
        with pytest.raises(FlashIntegrityError):
            decoded(row, [packed[:end]])
    for packed in _packed(SAMPLE, kind):
        with pytest.raises(FlashIntegrityError):
            decoded(row, [packed[: len(packed) // 2]])


@pytest.mark.parametrize("back", [1, 3, 9, 13, 17, 25])
def test_the_index_of_an_xz_file_has_to_be_that_of_its_blocks(back: int) -> None:
    for packed in _packed(SAMPLE, "img.xz"):
        broken = packed[:-back] + bytes([packed[-back] ^ 1]) + packed[len(packed) - back + 1 :]

        with pytest.raises(FlashIntegrityError):
            decoded(DECODERS["img.xz"][0], [broken])


@pytest.mark.parametrize(("kind", "row"), DAMAGED, ids=lambda one: getattr(one, "name", one))
@pytest.mark.parametrize("garbage", [b"garbage", b"\x01" * 5000, b"\0\0\0\0garbage", b"\x1f\x8b"])
def test_every_decoder_refuses_garbage_behind_the_image(
    kind: str, row: Row, garbage: bytes
) -> None:
    for packed in _packed(SAMPLE, kind):
        with pytest.raises(FlashIntegrityError):
            decoded(row, [packed + garbage])


@pytest.mark.parametrize(("kind", "row"), DAMAGED, ids=lambda one: getattr(one, "name", one))
@settings(max_examples=15, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_decoder_makes_another_image_of_a_flipped_bit(
    kind: str, row: Row, place: float, bit: int
) -> None:
    for packed in _packed(SAMPLE, kind, protected=True):
        at = int(len(packed) * place)
        broken = packed[:at] + bytes([packed[at] ^ 1 << bit]) + packed[at + 1 :]

        try:
            found = decoded(row, [broken])
        except FlashError:
            continue
        assert found == SAMPLE  # the bit meant nothing: a name, a time, padding


class Seeing(Bits):
    """Sees marks where none are, as happens once in 2^48 bits: no test can wait for it."""

    places: Sequence[Mark] = ()

    def add(self, data: bytes) -> None:
        before = self.looked
        super().add(data)
        found = {mark.bit: mark for mark in self.places if before <= mark.bit < self.looked}
        found |= {mark.bit: mark for mark in self.marks}
        self.marks = deque(found[bit] for bit in sorted(found))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    places=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.booleans()), min_size=1, max_size=2
    )
)
def test_data_of_bzip2_that_looks_like_a_mark_is_still_data(
    places: list[tuple[float, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = _packed(SAMPLE, "img.bz2")[0]
    marks = [Mark(int(len(packed) * 8 * share), is_end) for share, is_end in places]
    monkeypatch.setattr(bzip2_blocks, "Bits", type("Sees", (Seeing,), {"places": marks}))

    assert decoded(DECODERS["img.bz2"][0], [packed[:700_000], packed[700_000:]]) == SAMPLE


@pytest.mark.parametrize("kind", ["img.xz", "img.zst", "img.bz2"])
def test_an_image_that_is_cut_off_leaves_a_disk_that_does_not_boot(
    kind: str, tmp_path: Path
) -> None:
    data = image([("n", 9 * MIB)])
    packed = _packed(data, kind)[0]
    disk = disk_file(tmp_path / "disk", len(data) + MIB)

    with pytest.raises(FlashIntegrityError) as caught:
        flashed(tmp_path, packed[:-20], kind, disk)

    assert is_as_said(disk, caught.value.message)


def test_a_gzip_image_that_is_cut_off_may_be_found_out_before_anything_is_written(
    tmp_path: Path,
) -> None:
    disk = disk_file(tmp_path / "disk", len(SAMPLE) + MIB)

    with pytest.raises(FlashIntegrityError, match="cut off, or damaged; nothing was written"):
        flashed(tmp_path, PACKERS["gzip"][1](SAMPLE)[:-20], "img.gz", disk)

    assert set(disk.read_bytes()) == {0xA5}


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_image_is_refused_before_anything_is_written(kind: str, tmp_path: Path) -> None:
    disk = disk_file(tmp_path / "disk", 3 * MIB)

    for packed in (b"", _packed(b"", kind)[0]):
        with pytest.raises(FlashIntegrityError, match="nothing was written"):
            flashed(tmp_path, packed, kind, disk)

    assert disk.read_bytes() == b"\xa5" * 3 * MIB


def test_a_format_that_nothing_here_decodes_is_refused(tmp_path: Path) -> None:
    disk = disk_file(tmp_path / "disk", 3 * MIB)
    tools = Tools(decoders={"img.gz": (program("no-such-program"),)})
    source = tmp_path / "source"
    source.write_bytes(b"x")

    for kind in ("img.gz", "img.lzo"):
        order = Order((Source("file", str(source)),), kind)
        with pytest.raises(FlashError, match="nothing was written"):
            flash(order, str(disk), Listener(), tools=tools)

    assert disk.read_bytes() == b"\xa5" * 3 * MIB


def test_the_table_is_asked_in_its_order() -> None:
    asked: list[str] = []

    def row(name: str, *, here: bool) -> Row:
        def make(_sink: object, _flow: object) -> object:
            asked.append(name)
            return None

        return Row(name, lambda: here, make)  # type: ignore[arg-type]

    table = {"img": [row("first", here=False), row("second", here=True), row("third", here=True)]}

    decoder_of("img", None, None, table)  # type: ignore[arg-type]

    assert asked == ["second"]


@given(
    pages=st.lists(st.integers(0, 3), min_size=1, max_size=200),
    start=st.integers(0, 5000),
    short=st.integers(0, 4095),
)
@settings(deadline=None)
def test_runs_of_zeros_are_found_and_nothing_else_is_taken_for_one(
    pages: list[int], start: int, short: int
) -> None:
    data = b"".join(bytes(4096) if page else b"\1" + bytes(4095) for page in pages)
    buffer = Buffer(len(data))
    buffer.view[:] = data
    end = len(data) - short
    start = min(start, end)

    runs = list(buffer.runs(start, end))

    assert [run[0] for run in runs] == [start, *(run[1] for run in runs[:-1])] if runs else True
    assert (runs[-1][1] if runs else start) == end
    for first, after, is_zero in runs:
        assert first < after
        assert not is_zero or data[first:after].strip(b"\0") == b""
    kinds = [is_zero for *_, is_zero in runs]
    assert all(a != b for a, b in pairwise(kinds))


def test_a_library_that_overlooks_a_wrong_checksum_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Overlooks(isal.Inflate):
        def decode(self, data: bytes, at: int, room: tuple[int, int]) -> tuple[int, int]:
            try:
                return super().decode(data, at, room)
            except ValueError:
                return len(data) - at, 0

    assert isal.available.__wrapped__(), "libisal is missing: tests/run installs it"
    monkeypatch.setattr(isal, "Inflate", Overlooks)
    assert not isal.available.__wrapped__()

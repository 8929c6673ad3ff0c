"""A qcow2 file may have its parts in any order: it is streamed all the same, and without a copy."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bty_app.errors import (
    BtyError,
    FlashError,
    FlashIntegrityError,
    FlashRefusedError,
    UnavailableError,
)
from bty_app.flasher import isal, qcow2, qcow2_room
from bty_app.flasher.decoders import DECODERS, Row
from bty_app.flasher.flash import flash
from bty_app.flasher.flow import Flow
from bty_app.flasher.order import Source
from bty_app.flasher.ring import Sink
from tests.file_host import file_host
from tests.flasher.flashing import (
    QUICK,
    Canceller,
    does_not_boot,
    http,
    is_as_said,
    is_untouched,
    leaves_nothing_running,
    order,
)
from tests.flasher.images import IMAGES, KIB, MIB, decoded, disk_file, expected_disk, image
from tests.flasher.qcow2_files import Layout, deflated, made
from tests.flasher.test_preflight import gpt
from tests.netboot_set import Listener

KEPT = 300 * KIB
FIXTURES = [HealthCheck.function_scoped_fixture]
DATA = image([("t", 70_016), ("n", 2 * MIB), ("0", 3 * MIB), ("n", MIB), ("t", 3 * MIB)])
LAYOUTS = st.builds(
    Layout,
    cluster_bits=st.sampled_from([9, 12, 16]),
    seed=st.integers(0, 10**6),
    packed=st.sampled_from([0.0, 0.5, 1.0]),
    spread=st.integers(0, 20),
    late=st.sampled_from(["", "l1", "tables", "beginning"]),
)


@pytest.fixture(autouse=True)
def little_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qcow2, "KEPT_BYTES", KEPT)


def whole(data: bytes, layout: Layout) -> bytes:
    """A disk of whole sectors, not too large for small clusters."""
    most = {9: MIB, 12: 8 * MIB}.get(layout.cluster_bits, len(data))
    return data[:most] + bytes(-len(data[:most]) % 512)


def test_what_is_made_here_is_what_qemu_reads(tmp_path: Path) -> None:
    for bits in (9, 12, 16):
        path, raw = tmp_path / f"{bits}.qcow2", tmp_path / f"{bits}.raw"
        layout = Layout(cluster_bits=bits, seed=bits)
        path.write_bytes(made(whole(DATA, layout), layout))
        subprocess.run(("qemu-img", "convert", "-O", "raw", str(path), str(raw)), check=True)
        assert raw.read_bytes() == whole(DATA, layout)


@pytest.mark.parametrize("kind", ["file", "ranges", "no ranges", "no ranges and faults", "faults"])
@settings(max_examples=15, deadline=None, suppress_health_check=FIXTURES)
@given(data=IMAGES, layout=LAYOUTS, room=st.sampled_from([0, 512, 3 * MIB]))
def test_the_disk_has_the_image(
    kind: str, data: bytes, layout: Layout, room: int, tmp_path: Path
) -> None:
    data = whole(data, layout)
    packed = made(data, layout)
    disk = disk_file(tmp_path / "disk", len(data) + room)
    (tmp_path / "image").write_bytes(packed)
    with file_host(image=packed) as host, leaves_nothing_running():
        host.ranges = "no ranges" not in kind
        if "faults" in kind:
            host.die_after, host.faults = max(1, len(packed) // 3), 3
        source = Source("file", str(tmp_path / "image")) if kind == "file" else http(host)

        outcome = flash(
            order("qcow2", source, of=packed, verify=room == 512),
            str(disk),
            Listener(),
            tools=QUICK,
        )

    assert disk.read_bytes() == expected_disk(data, len(data) + room)
    assert outcome.bytes_image == len(data)


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 2**31), max_size=12), seed=st.integers(0, 1000))
def test_it_is_the_same_however_its_input_is_cut(cuts: Sequence[int], seed: int) -> None:
    data = DATA[: 256 * KIB]
    packed = made(data, Layout(cluster_bits=12, seed=seed))
    places = sorted({0, len(packed), *(cut % (len(packed) + 1) for cut in cuts)})
    (row,) = DECODERS["qcow2"]

    found = decoded(row, [packed[a:b] for a, b in pairwise(places)], in_order=False)

    assert found == data


def test_it_takes_single_bytes() -> None:
    data = image([("t", 5120), ("0", 4096), ("n", 1024)])
    packed = made(data, Layout(cluster_bits=9))
    (row,) = DECODERS["qcow2"]

    assert decoded(row, [bytes([byte]) for byte in packed], in_order=False) == data


@pytest.mark.parametrize("has_isal", [True, False])
def test_clusters_are_unpacked_with_and_without_the_quick_library(
    has_isal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isal.inflates_raw(), "libisal is missing: tests/run installs it"
    monkeypatch.setattr(isal, "inflates_raw", lambda: has_isal)
    packed = made(DATA[: 64 * KIB], Layout(cluster_bits=12, packed=1.0))
    (row,) = DECODERS["qcow2"]

    assert decoded(row, [packed], in_order=False) == DATA[: 64 * KIB]
    cluster = deflated(DATA[4096:8192])
    assert cluster in packed
    broken = packed.replace(cluster, cluster[:-40] + b"\xff" * 40)
    with pytest.raises(FlashIntegrityError):
        decoded(row, [broken], in_order=False)


@pytest.mark.parametrize("late", ["l1", "tables", "beginning"])
@pytest.mark.parametrize("ranges", [True, False])
def test_what_comes_late_is_read_ahead_and_the_rest_is_fetched_once(
    ranges: bool, late: str, tmp_path: Path
) -> None:
    layout = Layout(late=late, packed=0.0)
    packed = made(DATA, layout)
    disk = disk_file(tmp_path / "disk", len(DATA))
    teller = Canceller(lambda _step: False)
    with file_host(image=packed) as host, leaves_nothing_running():
        host.ranges = ranges

        outcome = flash(order("qcow2", http(host), of=packed), str(disk), teller, tools=QUICK)

        first, *others = [asked for _method, _path, asked in host.asked]
        assert first is None
        assert 1 <= len(others) <= 3
        assert all(asked for asked in others)
    assert outcome.bytes_fetched == len(packed)
    assert disk.read_bytes() == expected_disk(DATA, len(DATA))


def test_tables_that_are_larger_than_the_memory_are_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them come behind all else, and every cluster is one of its own."""
    monkeypatch.setattr(qcow2_room, "LEAST_BYTES", 100_000)
    monkeypatch.setattr(qcow2_room, "spare_bytes", lambda: 0)
    data = image([("t", 2 * MIB)])
    packed = made(data, Layout(cluster_bits=12, late="tables", packed=1.0))
    disk = disk_file(tmp_path / "disk", len(data))
    with (
        file_host(image=packed) as host,
        leaves_nothing_running(),
        pytest.raises(FlashRefusedError) as caught,
    ):
        flash(order("qcow2", http(host)), str(disk), Listener(), tools=QUICK)

    assert is_untouched(disk)
    assert "would take about 201 KiB of memory" in caught.value.message
    assert "can spare 97.7 KiB" in caught.value.message


def test_a_first_table_that_is_larger_than_the_memory_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(qcow2_room, "LEAST_BYTES", 20 * 400)
    monkeypatch.setattr(qcow2_room, "spare_bytes", lambda: 0)
    packed = made(DATA[:MIB], Layout(cluster_bits=9))
    (row,) = DECODERS["qcow2"]

    with pytest.raises(FlashRefusedError, match="tables of the qcow2 image would take about"):
        decoded(row, [packed], in_order=False)


class Changing(dict[str, bytes]):
    """One file for the first who asks, and another one for all others."""

    def __init__(self, first: bytes, then: bytes) -> None:
        super().__init__()
        self._versions = [first, then]

    def get(self, _key: str, _default: object = None) -> bytes:
        return self._versions.pop(0) if len(self._versions) > 1 else self._versions[0]


class Later(list[int]):
    """Statuses of which the first is no fault."""

    def __bool__(self) -> bool:
        if self[:1] == [200]:
            self.pop(0)
            return False
        return len(self) > 0


@pytest.mark.parametrize("late", ["l1", "tables", "beginning"])
def test_what_was_read_ahead_has_to_be_what_comes(late: str, tmp_path: Path) -> None:
    other = DATA[:-512] + b"x" * 512 if late != "beginning" else b"x" * 512 + DATA[512:]
    packed = made(DATA, Layout(late=late, packed=0.0))
    lying = made(other, Layout(late=late, packed=0.0, seed=0 if late == "beginning" else 7))
    disk = disk_file(tmp_path / "disk", len(DATA))
    with file_host() as host, leaves_nothing_running():
        host.files = Changing(packed, lying)

        with pytest.raises((FlashIntegrityError, UnavailableError)) as caught:
            flash(order("qcow2", http(host)), str(disk), Listener(), tools=QUICK)

    assert is_as_said(disk, caught.value.message)


class Ahead:
    """Reads from the file, and tells of it what `told` makes of that."""

    def __init__(self, packed: bytes, told: Callable[[bytes], bytes]) -> None:
        self._packed = packed
        self._told = told

    def read(self, places: Sequence[tuple[int, int]]) -> Iterator[bytes]:
        for start, length in places:
            yield self._told(self._packed[start : start + length])


def exchanged(data: bytes) -> bytes:
    """A table with two clusters in each other's place, as good as the right one; else as it is."""
    entries = [data[at : at + 8] for at in range(0, len(data), 8)]
    plain = [number for number, entry in enumerate(entries) if entry[:1] == b"\x80"]
    if data[:512] == DATA[:512] or len(plain) < 3:
        return data
    first, second = plain[1:3]
    entries[first], entries[second] = entries[second], entries[first]
    return b"".join(entries)


def begun_anew(data: bytes) -> bytes:
    """Another beginning of the disk; what else is read ahead stays as it is."""
    return b"x" + data[1:] if data[:512] == DATA[:512] else data


@pytest.mark.parametrize(("late", "lie"), [("tables", exchanged), ("beginning", begun_anew)])
def test_what_was_read_ahead_is_proven_by_the_stream(
    late: str, lie: Callable[[bytes], bytes]
) -> None:
    """The digest of an image is that of its stream: what came beside it must be the same."""
    packed = made(DATA, Layout(late=late, packed=0.0))

    def row(told: Callable[[bytes], bytes]) -> Row:
        def make(sink: Sink, flow: Flow) -> qcow2.Qcow2:
            decoder = qcow2.Qcow2(sink, flow)
            decoder.ahead = Ahead(packed, told)  # type: ignore[assignment]
            return decoder

        return Row("with another word ahead", lambda: True, make)

    chunks = [packed[at : at + 64 * KIB] for at in range(0, len(packed), 64 * KIB)]
    assert decoded(row(bytes), chunks, in_order=False) == DATA
    with pytest.raises(FlashIntegrityError, match="another one when it was read before"):
        decoded(row(lie), chunks, in_order=False)


@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
@pytest.mark.parametrize("late", ["l1", "tables", "beginning"])
def test_one_that_is_cut_off_is_followed_by_the_next_source(
    late: str, share: float, tmp_path: Path
) -> None:
    packed = made(DATA, Layout(late=late))
    disk = disk_file(tmp_path / "disk", len(DATA))
    with (
        file_host(image=packed[: int(len(packed) * share)]) as rotten,
        file_host(image=packed) as good,
        leaves_nothing_running(),
    ):
        wanted = order("qcow2", http(rotten, label="cache"), http(good), of=packed)

        outcome = flash(wanted, str(disk), Listener(), tools=QUICK)

    assert [source.label for source in outcome.sources_used] == ["origin"]
    assert disk.read_bytes() == expected_disk(DATA, len(DATA))


def test_the_beginning_is_looked_at_before_anything_is_written_wherever_it_is(
    tmp_path: Path,
) -> None:
    data = gpt(4096, len(DATA))[: 128 * KIB] + DATA[128 * KIB :]
    packed = made(data, Layout(late="beginning", packed=0.0))
    disk = disk_file(tmp_path / "disk", 2 * len(DATA))
    with (
        file_host(image=packed) as host,
        leaves_nothing_running(),
        pytest.raises(FlashRefusedError, match="for sectors of 4096 bytes"),
    ):
        flash(order("qcow2", http(host)), str(disk), Listener(), tools=QUICK)

    assert is_untouched(disk)


def test_a_source_that_is_gone_when_it_is_asked_ahead_is_told(tmp_path: Path) -> None:
    packed = made(DATA, Layout(late="l1"))
    disk = disk_file(tmp_path / "disk", len(DATA))
    with file_host(image=packed) as host, leaves_nothing_running():
        host.statuses["/image"] = Later([200, *[503] * 50])

        with pytest.raises(UnavailableError, match=r"further behind .* nothing was written"):
            flash(order("qcow2", http(host)), str(disk), Listener(), tools=QUICK)

    assert is_untouched(disk)


@settings(max_examples=40, deadline=None, suppress_health_check=FIXTURES)
@given(layout=LAYOUTS, changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255))))
def test_no_change_does_anything_but_fail(
    layout: Layout, changes: list[tuple[float, int]], tmp_path: Path
) -> None:
    data = whole(DATA, layout)
    packed = bytearray(made(data, layout))
    for place, value in changes:
        packed[int(place * min(len(packed), 200_000))] = value
    path, disk = tmp_path / "image", disk_file(tmp_path / "disk", len(data))
    path.write_bytes(packed)

    failure: BtyError | None = None
    try:
        with leaves_nothing_running():
            flash(order("qcow2", Source("file", str(path))), str(disk), Listener(), tools=QUICK)
    except (FlashError, UnavailableError) as error:
        failure = error
    if failure is not None:
        assert "the flasher failed" not in failure.message
        assert is_untouched(disk) or does_not_boot(disk)
    assert disk.stat().st_size == len(data)

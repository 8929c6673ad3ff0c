"""An image packed anew is the same image, in frames, for every zstd and for us."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from bty_app.cli import main
from bty_app.domain.jobs import Step
from bty_app.errors import CancelledError, FlashIntegrityError
from bty_app.flasher import preflight
from bty_app.flasher.decoders import DECODERS
from bty_app.flasher.order import Source
from bty_app.flasher.pack import FRAME_BYTES, pack
from bty_app.flasher.zstd_frames import FrameWalk
from tests.flasher.flashing import Canceller, leaves_nothing_running, order, sha256
from tests.flasher.images import IMAGES, MIB, PACKERS, decoded, image
from tests.flasher.test_qcow2 import converted, padded
from tests.netboot_set import Listener

DATA = image([("n", 3 * MIB), ("0", 12 * MIB), ("t", 5 * MIB + 99)])


def packed(tmp_path: Path, data: bytes, kind: str = "img") -> bytes:
    source = tmp_path / "source"
    source.write_bytes(data)
    out = io.BytesIO()
    with leaves_nothing_running():
        found = pack(
            order(kind, Source("file", str(source))), out, Listener(), scratch=tmp_path, level=1
        )
    assert found.sha256 == sha256(out.getvalue())
    assert found.size_bytes == len(out.getvalue())
    return out.getvalue()


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=IMAGES)
def test_what_comes_out_is_the_image(data: bytes, tmp_path: Path) -> None:
    made = packed(tmp_path, data)

    unpacked = subprocess.run(("zstd", "-dcq"), input=made, capture_output=True, check=True)
    assert unpacked.stdout == data
    for row in DECODERS["img.zst"]:
        assert decoded(row, [made]) == data


@pytest.mark.parametrize("name", list(PACKERS))
def test_every_format_is_packed(name: str, tmp_path: Path) -> None:
    kind, how = PACKERS[name]

    assert packed(tmp_path, how(DATA), kind) == packed(tmp_path, DATA)


def test_qcow2_is_packed_by_way_of_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = converted(tmp_path, DATA, "-c")
    dest = tmp_path / "a.img.zst"

    assert run(str(made), str(dest)) == 0

    wanted = padded(DATA)
    assert decoded(DECODERS["img.zst"][0], [dest.read_bytes()]) == wanted
    assert run(str(made), str(dest), "--sha256", "0" * 64) == 65
    made.write_bytes(made.read_bytes()[:50])
    assert run(str(made), str(dest)) == 65
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.img.zst", "image.qcow2", "plain"]


def test_frames_are_whole_buffers_and_the_table_lists_them(tmp_path: Path) -> None:
    made = packed(tmp_path, DATA)

    lengths, at = [], 0
    while at < len(made):
        length = FrameWalk().length(bytearray(made[at:]))
        assert length
        lengths.append(length)
        at += length
    frames = -(-len(DATA) // FRAME_BYTES)
    assert len(lengths) == frames + 1
    table = made[-lengths[-1] :]
    listed = [int.from_bytes(table[8 + 8 * n :][:4], "little") for n in range(frames)]
    assert listed == lengths[:-1]
    assert preflight.least_size("img.zst", made[:1000], made[-1000:], len(made)) == len(DATA)


def test_a_damaged_or_empty_image_is_not_packed(tmp_path: Path) -> None:
    for data, kind in ((PACKERS["gzip"][1](DATA)[:-5], "img.gz"), (b"", "img")):
        with pytest.raises(FlashIntegrityError):
            packed(tmp_path, data, kind)


def test_a_cancellation_ends_all(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(DATA)
    teller = Canceller(lambda _step: True)

    with leaves_nothing_running(), pytest.raises(CancelledError):
        pack(order("img", Source("file", str(source))), io.BytesIO(), teller, scratch=tmp_path)


def run(*words: str) -> int:
    return main.main(["image", "pack", *words])


def test_the_command_prints_the_digest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, dest = tmp_path / "a.img.gz", tmp_path / "a.img.zst"
    source.write_bytes(PACKERS["gzip"][1](DATA))
    digest = sha256(source.read_bytes())

    assert run(str(source), str(dest), "--sha256", digest.upper(), "--level", "3") == 0
    assert capsys.readouterr().out == f"{sha256(dest.read_bytes())}  {dest}\n"
    assert run(str(source), str(dest), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["image_bytes"] == len(DATA)
    assert told["sha256"] == sha256(dest.read_bytes())


def test_a_file_appears_whole_or_not_at_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, dest = tmp_path / "a.img", tmp_path / "a.img.zst"
    source.write_bytes(DATA)
    dest.write_bytes(b"before")

    assert run(str(source), str(dest), "--sha256", "0" * 64) == 65
    assert run(str(tmp_path / "none.img"), str(dest)) == 66
    assert run(str(tmp_path / "a.unknown"), str(dest)) == 65
    assert run(str(source), str(tmp_path / "a.img.gz")) == 65
    assert run(str(source), str(tmp_path / "no" / "a.img.zst")) == 74
    assert "has the sha256" in capsys.readouterr().err
    assert dest.read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.img", "a.img.zst"]


def test_steps_count_what_was_fetched(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(DATA)
    listener = Listener()

    pack(
        order("img", Source("file", str(source))), io.BytesIO(), listener, scratch=tmp_path, level=1
    )

    assert listener.steps[-1] == Step("packing", len(DATA), len(DATA))

"""Images, packed in every way, and disks to write them to."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import subprocess
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import strategies as st

from bty_app.flasher.decoders import Row
from bty_app.flasher.flow import Flow
from bty_app.flasher.ring import Ring, Sink

KIB, MIB = 1024, 1024 * 1024
GARBAGE = b"\xa5"

# Runs of (kind, length): zeros, noise, and text that packs well.
_LENGTHS = st.one_of(
    st.integers(1, 5000),
    st.integers(1, 40).map(lambda n: n * 4096),
    st.integers(1, 300_000),
    st.sampled_from([64 * KIB, MIB - 1, MIB, MIB + 1, 4 * MIB - 512, 4 * MIB, 5 * MIB]),
)
_RUNS = st.tuples(st.sampled_from("0nt"), _LENGTHS)
IMAGES = st.lists(_RUNS, min_size=1, max_size=7).flatmap(
    lambda runs: st.integers(0, 1000).map(lambda seed: image(runs, seed))
)


def image(runs: Sequence[tuple[str, int]], seed: int = 0) -> bytes:
    """An image of these runs: "0" is zeros, "n" noise, "t" text."""
    dice = random.Random(seed)  # noqa: S311 - the same image every time
    made = []
    for kind, length in runs:
        if kind == "0":
            made.append(bytes(length))
        elif kind == "n":
            made.append(dice.randbytes(length))
        else:
            made.append(
                (b"the %d. line of some text\n" % dice.randrange(10**6)) * (length // 24 + 1)
            )
            made[-1] = made[-1][:length]
    return b"".join(made)


def _by(*command: str) -> Callable[[bytes], bytes]:
    def pack(data: bytes) -> bytes:
        return subprocess.run(command, input=data, capture_output=True, check=True).stdout

    return pack


def _parts(data: bytes, size: int) -> Iterator[bytes]:
    yield from (data[at : at + size] for at in range(0, len(data), size))


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, 1)


def _zstd_frames(data: bytes) -> bytes:
    zstd = _by("zstd", "-q", "-1", "--check", "-c", "--no-progress")
    sized = (_zstd_sized(part) for part in _parts(data, 4 * MIB))
    return b"".join(sized) or zstd(b"")


def _zstd_sized(data: bytes) -> bytes:
    return _by("zstd", "-q", "-1", f"--stream-size={len(data)}", "-c")(data)


# By name: the format, and how to pack it.
PACKERS: Mapping[str, tuple[str, Callable[[bytes], bytes]]] = {
    "raw": ("img", bytes),
    "gzip": ("img.gz", _gzip),
    "gzip, many members": (
        "img.gz",
        lambda data: b"".join(_gzip(part) for part in _parts(data, 700_001)),
    ),
    "gzip, one member and padding": ("img.gz", lambda data: _gzip(data) + bytes(1000)),
    "xz": ("img.xz", lambda data: lzma.compress(data, preset=0)),
    "xz, many blocks": ("img.xz", _by("xz", "-0", "-T2", "--block-size=300KiB", "-c")),
    "xz, many streams": (
        "img.xz",
        lambda data: b"".join(
            lzma.compress(p, preset=0, check=c) + bytes(4 * (n % 2))
            for n, (p, c) in enumerate(
                zip(
                    _parts(data, 900_001),
                    (lzma.CHECK_CRC32, lzma.CHECK_CRC64, lzma.CHECK_SHA256) * 9,
                    strict=False,
                )
            )
        ),
    ),
    "xz, blocks and then none": (
        "img.xz",
        lambda data: (
            _by("xz", "-0", "-T2", "--block-size=64KiB", "-c")(data[: len(data) // 2])
            + lzma.compress(data[len(data) // 2 :], preset=0)
        ),
    ),
    "xz without checksums": (
        "img.xz",
        lambda data: lzma.compress(data, preset=0, check=lzma.CHECK_NONE),
    ),
    "zstd, of a known size": ("img.zst", _zstd_sized),
    "zstd": ("img.zst", _by("zstd", "-q", "-1", "-c")),
    "zstd, frames of 4 MiB": ("img.zst", _zstd_frames),
    "zstd, frames of all sizes": (
        "img.zst",
        lambda data: b"".join(
            _zstd_sized(part) + b"\x50\x2a\x4d\x18\x03\0\0\0abc" for part in _parts(data, 1_000_000)
        ),
    ),
    "bzip2": ("img.bz2", lambda data: bz2.compress(data, 1)),
    "bzip2, many streams": (
        "img.bz2",
        lambda data: b"".join(bz2.compress(part, 1) for part in _parts(data, 500_001)),
    ),
}


def disk_file(path: Path, size: int) -> Path:
    """A file in place of a disk, full of what was there before."""
    path.write_bytes(GARBAGE * size)
    return path


def expected_disk(written: bytes, size: int) -> bytes:
    """What a disk of this size has on it afterwards."""
    disk = bytearray(GARBAGE * size)
    disk[:MIB] = bytes(min(size, MIB))
    disk[max(0, size - MIB) :] = bytes(min(size, MIB))
    disk[: len(written)] = written
    return bytes(disk)


def decoded(row: Row, chunks: Sequence[bytes], *, in_order: bool = True) -> bytes:
    """What a decoder makes of these chunks, in order where that is the format's way.

    Raises:
        BtyError: it fails.
    """
    flow = Flow()
    ring = Ring(flow)
    found = bytearray()

    def decode() -> None:
        sink = Sink(ring)
        decoder = row.make(sink, flow)
        for chunk in chunks:
            decoder.feed(chunk)
        decoder.finish()
        sink.end()

    def collect() -> None:
        while (run := ring.next()) is not None:
            assert not in_order or run.offset == len(found)
            found.extend(bytes(max(0, run.offset + run.length - len(found))))
            made = bytes(run.length) if run.buffer is None else run.buffer.view[: run.length]
            found[run.offset : run.offset + run.length] = made
            ring.release(run)

    flow.start("decode", decode)
    flow.start("collect", collect)
    flow.join()
    if flow.failure is not None:
        raise flow.failure
    return bytes(found)


@contextmanager
def loop_device(path: Path, *options: str, sector: int = 512) -> Iterator[str]:
    """A block device of the file; the test says so loudly where there can be none."""
    command = ("losetup", "--find", "--show", "--sector-size", str(sector), *options, str(path))
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        sentence = f"NOTHING ABOUT BLOCK DEVICES IS PROVEN HERE: {made.stderr.strip()}"
        warnings.warn(sentence, stacklevel=1)
        pytest.skip(sentence)
    device = made.stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(("losetup", "--detach", device), check=True)

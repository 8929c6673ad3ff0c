"""`python -m tests.bench.flash`: our flash beside the usual pipe of programs; one JSON document.

The image is an ext4 file system that is mostly empty, and one of noise. Both sides take it from the
same local server, in turns, onto the same disk: a loop device, or a file where there is none. The
exit status says that everything was measured and is right, never that it was quick.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from bty_app.domain.jobs import Step
from bty_app.flasher.flash import Order, Source, flash
from bty_app.flasher.pack import pack
from tests.bench.programs import ROOT

MIB = 1024 * 1024
# How to pack, and what the pipe unpacks with.
PACKED: Mapping[str, tuple[str, str, str]] = {
    "raw": ("img", "cat", "cat"),
    "gz": ("img.gz", "gzip -6 -c", "gzip -d -c"),
    "zst": ("img.zst", "zstd -q -3 -T0 -c --stream-size=$SIZE", "zstd -d -q -c"),
    "zst-frames": ("img.zst", "", "zstd -d -q -c"),
    "xz": ("img.xz", "xz -3 -T1 -c", "xz -d -c"),
    "xz-blocks": ("img.xz", "xz -3 -T2 -c", "xz -d -c"),
    "bz2": ("img.bz2", "bzip2 -c", "bzip2 -d -c"),
}
_GARBAGE = b"\xa5" * MIB


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured: the image, the files in it, and the image of noise, in MiB."""

    image: int = 3072
    files: int = 768
    dense: int = 1024
    rounds: int = 3
    formats: tuple[str, ...] = tuple(PACKED)
    dense_formats: tuple[str, ...] = ("raw", "gz", "zst")


TINY = Sizes(image=24, files=6, dense=8, rounds=1)


class _Quiet:
    def tell(self, step: Step) -> None:
        pass

    def is_wanted(self) -> bool:
        return True

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)


def measure(sizes: Sizes, scratch: Path) -> dict[str, object]:
    """The figures; `scratch` is left as it was."""
    scratch.mkdir(parents=True, exist_ok=True)
    report: dict[str, object] = {"cpus": os.cpu_count(), "load_before": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory(dir=scratch) as made:
        place = Path(made).resolve()
        served = place / "served"
        served.mkdir()
        with _server(served) as port:
            url = f"http://127.0.0.1:{port}"
            sparse = _filesystem(place, sizes)
            report["sparse"] = _compared(sparse, sizes.formats, sizes, url, served)
            sparse.unlink()
            dense = place / "dense.img"
            _write_noise(dense, sizes.dense)
            report["dense"] = _compared(dense, sizes.dense_formats, sizes, url, served)
    report["load_after"] = os.getloadavg()[0]
    return report


def _compared(
    image: Path, formats: tuple[str, ...], sizes: Sizes, url: str, served: Path
) -> dict[str, object]:
    data_bytes = _data(image, served / "data")
    found: dict[str, object] = {"bytes": image.stat().st_size, "data_bytes": data_bytes}
    backing = served.parent / "backing"
    plain = median(
        _timed(image, backing, lambda disk: _dd(served / "data", disk)) for _ in range(sizes.rounds)
    )
    (served / "data").unlink()
    for name in formats:
        kind, _pack, unpack = PACKED[name]
        packed = served / f"{image.stem}.{name}"
        _pack_as(name, image, packed)
        ours, theirs = [], []
        for _ in range(sizes.rounds):
            theirs.append(_timed(image, backing, partial(_pipe, f"{url}/{packed.name}", unpack)))
            ours.append(_timed(image, backing, partial(_ours, url, packed, kind)))
            subprocess.run(
                ("cmp", "--bytes", str(image.stat().st_size), image, backing), check=True
            )
        found[name] = {
            "packed_bytes": packed.stat().st_size,
            "ours_seconds": [round(value, 2) for value in ours],
            "pipe_seconds": [round(value, 2) for value in theirs],
            "unpacking_alone_seconds": round(_unpacking(packed, unpack), 2),
            "times_as_fast": round(median(theirs) / median(ours), 2),
            "share_of_dd": round(plain / median(ours), 2),
        }
        _say(f"{image.stem} {name}: {found[name]}")
        packed.unlink()
    found["dd_of_data_seconds"] = round(plain, 2)
    return found


# -- the two sides ---------------------------------------------------------------------------------


def _ours(url: str, packed: Path, kind: str, disk: str) -> None:
    digest = (packed.parent / f"{packed.name}.sha256").read_text()
    source = Source("http", f"{url}/{packed.name}")
    flash(Order((source,), kind, digest, packed.stat().st_size), disk, _Quiet())


def _pipe(url: str, unpack: str, disk: str) -> None:
    command = (
        f"set -e -o pipefail; curl -fsSL --http1.1 {url}"
        " | dd bs=1M iflag=fullblock status=none | tee >(sha256sum >/dev/null)"
        f" | {unpack} | dd of={disk} bs=4M oflag=direct conv=fsync,notrunc status=none"
    )
    subprocess.run(("bash", "-c", command), check=True)


def _dd(data: Path, disk: str) -> None:
    command = ("dd", f"if={data}", f"of={disk}", "bs=4M", "oflag=direct", "conv=fsync,notrunc")
    subprocess.run((*command, "status=none"), check=True)


def _unpacking(packed: Path, unpack: str) -> float:
    """The seconds that the pipe's program takes with nothing before or behind it."""
    with packed.open("rb") as file:
        began = time.perf_counter()
        subprocess.run(unpack.split(), stdin=file, stdout=subprocess.DEVNULL, check=True)
        return time.perf_counter() - began


def _timed(image: Path, backing: Path, act: Callable[[str], None]) -> float:
    """The seconds of the act on a disk full of garbage."""
    with backing.open("wb") as file:
        for _ in range(-(-image.stat().st_size // MIB)):
            file.write(_GARBAGE)
        os.fsync(file.fileno())
    with _disk(backing) as disk:
        began = time.perf_counter()
        act(disk)
        return time.perf_counter() - began


@contextmanager
def _disk(backing: Path) -> Iterator[str]:
    command = ("losetup", "--find", "--show", "--direct-io=on", str(backing))
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        yield str(backing)
        return
    try:
        yield made.stdout.strip()
    finally:
        subprocess.run(("losetup", "--detach", made.stdout.strip()), check=True)


@contextmanager
def _server(directory: Path) -> Iterator[int]:
    command = (sys.executable, "-m", "tests.bench.sendfile", str(directory))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        with contextlib.suppress(OSError):
            process.stdout.close()  # type: ignore[union-attr]


# -- images ----------------------------------------------------------------------------------------


def _filesystem(place: Path, sizes: Sizes) -> Path:
    """An ext4 file system with the same files every time."""
    tree, image = place / "tree", place / "sparse.img"
    dice = random.Random(1)  # noqa: S311 - the same tree at every run
    words = [dice.randbytes(dice.randint(2, 9)).hex().encode() for _ in range(4000)]
    left, number = sizes.files * MIB, 0
    while left > 0:
        size = min(left, dice.choice((20_000, 200_000, 2_000_000, 9_000_000)))
        path = tree / str(number // 100) / str(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_content(number % 3, size, dice, words))
        left, number = left - size, number + 1
    command = ("mke2fs", "-q", "-F", "-t", "ext4", "-d", str(tree), str(image), f"{sizes.image}M")
    subprocess.run(command, check=True)
    shutil.rmtree(tree)
    return image


def _content(kind: int, size: int, dice: random.Random, words: list[bytes]) -> bytes:
    if kind == 0:  # text
        return b" ".join(dice.choices(words, k=size // 8))[:size]
    if kind == 1:  # what is packed already
        return dice.randbytes(size)
    base = dice.randbytes(65536)  # like programs: repeats from near by
    parts = (base[dice.randrange(60000) :][: dice.randint(8, 400)] for _ in range(size // 150))
    return b"".join(parts)[:size]


def _write_noise(path: Path, mebibytes: int) -> None:
    dice = random.Random(2)  # noqa: S311 - the same noise at every run
    with path.open("wb") as file:
        for _ in range(mebibytes):
            file.write(dice.randbytes(MIB))


def _data(image: Path, into: Path) -> int:
    """Write what is not zero, by pages of 64 KiB; how much that is."""
    zeros = bytes(65536)
    with image.open("rb") as file, into.open("wb") as out:
        while page := file.read(65536):
            if page != zeros[: len(page)]:
                out.write(page)
        out.truncate(-(-out.tell() // 4096) * 4096)
        return out.tell()


def _pack_as(name: str, image: Path, packed: Path) -> None:
    command = PACKED[name][1].replace("$SIZE", str(image.stat().st_size))
    with image.open("rb") as file, packed.open("wb") as out:
        if command:
            subprocess.run(("sh", "-c", command), stdin=file, stdout=out, check=True)
        else:
            pack(
                Order((Source("file", str(image)),), "img"),
                out,
                _Quiet(),
                scratch=packed.parent,
                level=3,
            )
    with packed.open("rb") as done:
        digest = hashlib.file_digest(done, "sha256").hexdigest()
    packed.with_name(f"{packed.name}.sha256").write_text(digest)


def main() -> int:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.flash", description=__doc__)
    full = Sizes()
    parser.add_argument("--image", type=int, default=full.image, help="MiB (%(default)s)")
    parser.add_argument("--files", type=int, default=full.files, help="MiB in it (%(default)s)")
    parser.add_argument("--dense", type=int, default=full.dense, help="MiB of noise (%(default)s)")
    parser.add_argument("--rounds", type=int, default=full.rounds, help="(%(default)s)")
    parser.add_argument("--only", action="append", choices=list(PACKED), help="this format")
    parser.add_argument("--scratch", type=Path, default=ROOT / "dist" / "bench")
    args = parser.parse_args()
    only = tuple(args.only or full.formats)
    dense = tuple(name for name in full.dense_formats if name in only)
    sizes = Sizes(args.image, args.files, args.dense, args.rounds, only, dense)
    sys.stdout.write(json.dumps(measure(sizes, args.scratch), indent=2) + "\n")
    return 0


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())

"""A disk that fails, a decoder that dies, somebody who cancels: nothing goes on, nothing boots."""

from __future__ import annotations

import errno
import os
import re
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bty_app.errors import (
    CancelledError,
    FlashError,
    FlashIntegrityError,
    FlashRaceError,
    FlashRefusedError,
    FlashWriteError,
)
from bty_app.flasher.decoders import Row, program
from bty_app.flasher.device import Disk
from bty_app.flasher.flash import Tools, flash
from bty_app.flasher.flow import Flow
from bty_app.flasher.order import Source
from bty_app.flasher.program import Program
from bty_app.flasher.ring import Sink
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
from tests.flasher.images import MIB, PACKERS, disk_file, image, loop_device
from tests.netboot_set import Listener
from tests.other_host import other_host

DATA = image([("n", 6 * MIB), ("0", 20 * MIB), ("t", 70_000), ("n", 6 * MIB + 77)])
BY_PROGRAM = {"img.zst": (program("zstd", "-dcq"),)}


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return disk_file(tmp_path / "disk", len(DATA) + MIB)


def flashed(
    disk: Path | str, tools: Tools = QUICK, name: str = "raw", *, verify: bool = False
) -> None:
    kind, pack = PACKERS[name]
    with file_host(image=pack(DATA)) as host, leaves_nothing_running():
        flash(order(kind, http(host), verify=verify), str(disk), Listener(), tools=tools)


# -- cancelled -------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["opening", "writing", "flushing", "checking", "finishing"])
@pytest.mark.parametrize("name", ["raw", "zstd"])
def test_a_cancellation_in_any_phase_ends_all_and_leaves_no_disk_that_boots(
    name: str, words: str, disk: Path
) -> None:
    kind, pack = PACKERS[name]
    tools = replace(QUICK, decoders={"img": QUICK.decoders["img"], **BY_PROGRAM})
    teller = Canceller(lambda step: step.words.startswith(words))
    with file_host(image=pack(DATA)) as host:
        if words in ("opening", "writing"):
            host.stall_after = 0 if words == "opening" else 5 * MIB
        patient = replace(tools, pace=replace(QUICK.pace, seconds=60.0))
        wanted = order(kind, http(host), verify=True)
        began = time.monotonic()

        with leaves_nothing_running(), pytest.raises(CancelledError) as caught:
            flash(wanted, str(disk), teller, tools=patient)

    assert time.monotonic() - began < 10
    if words == "opening":
        assert is_untouched(disk)
        assert "nothing was written" in caught.value.message
    else:
        assert does_not_boot(disk)
        assert "does not boot" in caught.value.message


def test_a_cancellation_does_not_wait_for_a_server_that_is_silent(disk: Path) -> None:
    with other_host() as silent:
        silent.routes["/image"] = silent.silence
        source = Source("http", silent.url("/image"))
        patient = replace(QUICK, pace=replace(QUICK.pace, seconds=60.0))
        teller = Canceller(lambda _step: bool(silent.heads))
        began = time.monotonic()

        with pytest.raises(CancelledError, match="nothing was written"):
            flash(order("img", source), str(disk), teller, tools=patient)

    assert time.monotonic() - began < 5
    assert is_untouched(disk)


def test_an_interrupt_ends_all_as_well(disk: Path) -> None:
    def interrupt(_step: object) -> bool:
        raise KeyboardInterrupt

    with file_host(image=DATA) as host, leaves_nothing_running(), pytest.raises(KeyboardInterrupt):
        flash(order("img", http(host)), str(disk), Canceller(interrupt), tools=QUICK)


# -- decoders --------------------------------------------------------------------------------------


def by(script: str, *, hang_seconds: float = 60.0) -> Tools:
    def make(sink: Sink, flow: Flow) -> Program:
        return Program(sink, flow, ("sh", "-c", script), hang_seconds=hang_seconds)

    return replace(QUICK, decoders={"img": (Row("a script", lambda: True, make),)})


@pytest.mark.parametrize(
    ("script", "kind", "sentence"),
    [
        ("head -c 6000000; kill -9 $$", FlashError, "sh was ended by SIGKILL"),
        ("head -c 6000000; kill -SEGV $$", FlashError, "SIGSEGV"),
        ("kill -9 $$", FlashError, "sh was ended by SIGKILL"),
        ("cat; exit 3", FlashIntegrityError, "sh ended with status 3"),
        ("cat; echo so-so >&2", FlashIntegrityError, "so-so"),
        ("head -c 6000000; exit 0", FlashIntegrityError, "stopped reading"),
        ("head -c 6000000; exec 1>&-; cat >/dev/null; exit 1", FlashIntegrityError, "status 1"),
    ],
)
def test_a_decoder_that_fails_fails_the_flash(
    script: str, kind: type[FlashError], sentence: str, disk: Path
) -> None:
    with pytest.raises(kind, match=sentence):
        flashed(disk, by(script))

    assert does_not_boot(disk) or is_untouched(disk)


@pytest.mark.parametrize(
    "script",
    ["head -c 6000000; exec sleep 600", "cat; exec sleep 600", "exec sleep 600", "kill -STOP $$"],
)
def test_a_decoder_that_hangs_is_ended(script: str, disk: Path) -> None:
    began = time.monotonic()

    with pytest.raises(FlashError, match="hangs"):
        flashed(disk, by(script, hang_seconds=0.5))

    assert time.monotonic() - began < 30
    assert does_not_boot(disk) or is_untouched(disk)


def test_a_decoder_that_waits_for_a_slow_source_does_not_hang(disk: Path) -> None:
    tools = by("cat", hang_seconds=0.5)
    with file_host(image=DATA) as host, leaves_nothing_running():
        host.stall_after, host.faults = 7 * MIB, 2
        slow = replace(tools, pace=replace(QUICK.pace, seconds=1.5))

        flash(order("img", http(host), of=DATA), str(disk), Listener(), tools=slow)

    assert disk.read_bytes()[: len(DATA)] == DATA


def test_a_decoder_that_waits_for_a_slow_disk_does_not_hang(disk: Path) -> None:
    class Slow(Disk):
        def write(self, view: memoryview, offset: int) -> None:
            time.sleep(0.9)
            super().write(view, offset)

    flashed(disk, replace(by("cat", hang_seconds=0.5), open_device=Slow))

    assert disk.read_bytes()[: len(DATA)] == DATA


# -- disks -----------------------------------------------------------------------------------------


def failing(method: str, after: int, number: int) -> Callable[[str], Disk]:
    """Opens disks that fail with this error after so many calls of the method."""

    def refuse(*_args: object) -> None:
        raise OSError(number, os.strerror(number))

    class Failing(Disk):
        calls = 0

        def __getattribute__(self, name: str) -> object:
            if name == method:
                Failing.calls += 1
                if Failing.calls > after:
                    with self._failing(method):
                        refuse()
            return super().__getattribute__(name)

    return Failing


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize(
    ("method", "after"),
    [("write", 0), ("write", 1), ("write", 3), ("zero", 0), ("flush", 0), ("flush", 1)],
)
def test_a_disk_that_fails_fails_the_flash(
    method: str, after: int, number: int, disk: Path
) -> None:
    tools = replace(QUICK, open_device=failing(method, after, number))

    with pytest.raises(FlashWriteError, match=os.strerror(number)):
        flashed(disk, tools)

    if (method, after) != ("write", 0):
        assert does_not_boot(disk)


@pytest.mark.parametrize(("method", "after"), [("flush", 2), ("write", 6)])
def test_a_disk_that_fails_at_the_very_end_fails_the_flash(
    method: str, after: int, disk: Path
) -> None:
    with pytest.raises(FlashWriteError):
        flashed(disk, replace(QUICK, open_device=failing(method, after, errno.EIO)))

    assert does_not_boot(disk)


FLASHES = """
import sys
from bty_app.errors import FlashWriteError
from bty_app.flasher.flash import Order, Source, flash
from tests.netboot_set import Listener
order = Order((Source("file", sys.argv[1]),), "img", verify=True)
try:
    flash(order, sys.argv[2], Listener())
except FlashWriteError as error:
    print(error.message)
"""


def in_a_process(
    tmp_path: Path, disk: Path, *before: str, limit: Callable[[], None] | None = None
) -> str:
    """What a flash in a process of its own says; `before` is what it is run by."""
    (tmp_path / "image").write_bytes(DATA)
    done = subprocess.run(
        (*before, sys.executable, "-c", FLASHES, str(tmp_path / "image"), str(disk)),
        preexec_fn=limit,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


def test_a_limit_of_the_system_is_an_error_like_any_other(tmp_path: Path, disk: Path) -> None:
    size = len(DATA) - 3 * MIB

    said = in_a_process(
        tmp_path, disk, limit=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    )

    assert "File too large" in said
    assert does_not_boot(disk)


@pytest.mark.system
@pytest.mark.parametrize("number", range(1, 8))  # of each thread
def test_every_flush_that_fails_fails_the_flash(number: int, tmp_path: Path, disk: Path) -> None:
    fault = f"inject=fsync:error=EIO:when={number}"
    by = ("strace", "-f", "-qq", "-o", str(tmp_path / "trace"), "-e", "trace=fsync", "-e", fault)

    said = in_a_process(tmp_path, disk, *by)

    asked = (tmp_path / "trace").read_text().count("fsync(")
    if number > 6:
        # For the wiped edges, for all, for the first MiB, and for its first page: two each.
        assert asked == 8
        assert disk.read_bytes()[: len(DATA)] == DATA
    else:
        assert "flush failed: Input/output error" in said
        assert does_not_boot(disk)


@pytest.mark.system
def test_the_beginning_is_written_last_and_all_else_is_on_the_disk_by_then(
    tmp_path: Path, disk: Path
) -> None:
    trace = tmp_path / "trace"

    in_a_process(
        tmp_path, disk, "strace", "-f", "-qq", "-o", str(trace), "-e", "trace=pwrite64,fsync"
    )

    calls = [line.split(maxsplit=1)[1] for line in trace.read_text().splitlines()]
    acts = ["fsync" if call.startswith("fsync") else _offset(call) for call in calls]
    assert acts[0] == 0  # the old beginning and the old end are wiped before anything else
    assert acts[2:4] == ["fsync", "fsync"]
    assert acts[-5:] == ["fsync", "fsync", 0, "fsync", "fsync"]
    assert all(act != 0 for act in acts[1:-3])


def _offset(call: str) -> int:
    return int(call.rpartition(")")[0].rpartition(", ")[2])


@contextmanager
def small_file_system(place: Path, size: int) -> Iterator[Path]:
    place.mkdir()
    made = subprocess.run(
        ("mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(place)),
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        sentence = f"NOTHING ABOUT FULL DISKS IS PROVEN HERE: {made.stderr.strip()}"
        warnings.warn(sentence, stacklevel=1)
        pytest.skip(sentence)
    try:
        yield place
    finally:
        subprocess.run(("umount", "--lazy", str(place)), check=True)


def test_a_file_without_room_behind_it_is_full(tmp_path: Path) -> None:
    with small_file_system(tmp_path / "small", 5 * MIB) as place:
        disk = place / "disk"
        with disk.open("wb") as file:
            file.truncate(len(DATA) + MIB)

        with pytest.raises(FlashWriteError, match="No space left"):
            flashed(disk)

        with disk.open("rb") as file:
            assert file.read(MIB) == bytes(MIB)


def test_a_block_device_that_loses_what_it_took_is_found_out(tmp_path: Path) -> None:
    with small_file_system(tmp_path / "small", 5 * MIB) as place:
        behind = place / "behind"
        with behind.open("wb") as file:
            file.truncate(len(DATA) // MIB * MIB + 2 * MIB)
        failures = re.compile("Input/output error|No space left")
        with loop_device(behind) as device, pytest.raises(FlashWriteError, match=failures):
            flashed(device)


class Lying(Disk):
    """Changes a byte on its way to the disk."""

    at = 0

    def write(self, view: memoryview, offset: int) -> None:
        place = self.at - offset
        if 0 <= place < len(view):
            changed = bytearray(view)
            changed[place] ^= 1
            with self._failing("write", offset):
                os.pwrite(self._plain, changed, offset)
            return
        super().write(view, offset)

    def zero(self, offset: int, length: int) -> None:
        super().zero(offset, length)
        if offset <= self.at < offset + length:
            os.pwrite(self._plain, b"\1", self.at)


@pytest.mark.parametrize("at", [0, 77, MIB, 5 * MIB, 15 * MIB, len(DATA) - 1])
def test_a_byte_that_does_not_read_back_is_found_and_nothing_boots(at: int, disk: Path) -> None:
    kind = type("At", (Lying,), {"at": at})

    with pytest.raises(FlashWriteError, match="does not read back"):
        flashed(disk, replace(QUICK, open_device=kind), verify=True)

    left = bytearray(disk.read_bytes()[:MIB])
    left[at if at < MIB else 0] = 0  # this disk also lies when it is wiped
    assert left == bytes(MIB)


def test_what_is_no_disk_or_in_use_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path, Path("/dev/null")):
        with pytest.raises(FlashRefusedError):
            flashed(path)


def test_a_disk_that_is_read_only_is_refused(disk: Path) -> None:
    with (
        loop_device(disk, "--read-only") as device,
        pytest.raises(FlashRefusedError, match="read-only"),
    ):
        flashed(device)

    assert is_untouched(disk)


def test_a_disk_that_is_mounted_is_refused(tmp_path: Path) -> None:
    behind = tmp_path / "behind"
    with behind.open("wb") as file:
        file.truncate(40 * MIB)
    subprocess.run(("mkfs.ext4", "-q", "-F", str(behind)), check=True)
    place = tmp_path / "mounted"
    place.mkdir()
    with loop_device(behind) as device:
        subprocess.run(("mount", device, str(place)), check=True)
        try:
            with pytest.raises(FlashRaceError, match="in use"):
                flashed(device)
        finally:
            subprocess.run(("umount", str(place)), check=True)


def test_a_disk_without_the_command_for_zeros_gets_zeros(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Plain(Disk):
        def __init__(self, path: str) -> None:
            super().__init__(path)
            self._zeroing = []

    flashed(disk, replace(QUICK, open_device=Plain))

    assert disk.read_bytes()[: len(DATA)] == DATA

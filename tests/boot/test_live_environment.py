"""Our own live environment and flasher, from power-on to a running disk, in virtual machines."""

from __future__ import annotations

import hashlib
import json
import lzma
import random
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import compressobj

import pytest

from bty_app import __version__
from tests.boot import proof_disk
from tests.boot.machine import HOST, Box, Machine
from tests.boot.mirror import FickleMirror
from tests.boot.server import Server

pytestmark = pytest.mark.boot

MAC, SERIAL = "52:54:00:b0:07:03", "PROOF-0002"
DISK_BYTES, IMAGE_BYTES = 96 << 20, 40 << 20
HEAD = 1 << 20
STORY_SECONDS = 240.0


def image() -> bytes:
    """A disk that boots, with noise, long runs of zeros, and an end that fits no block."""
    noise = random.Random(7)  # noqa: S311 - the same image each time
    parts = [
        proof_disk.image(),
        noise.randbytes(6 << 20),
        bytes(20 << 20),
        noise.randbytes(5 << 20),
    ]
    return b"".join(parts).ljust(IMAGE_BYTES - 512 * 3, b"\0") + noise.randbytes(512)


def gzipped(data: bytes) -> bytes:
    packer = compressobj(1, wbits=31)
    return packer.compress(data) + packer.flush()


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-q", "-3"], input=data, capture_output=True, check=True).stdout


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "img": bytes,
    "img.gz": gzipped,
    "img.xz": lambda data: lzma.compress(data, preset=0),
    "img.zst": zstd,
}


@dataclass
class Rack:
    """A server with an image in its catalog, and where the image comes from."""

    server: Server
    mirror: FickleMirror
    directory: Path

    def box(self, **more: Any) -> Box:
        disk = self.directory / "disk.img"
        with disk.open("wb") as file:
            file.truncate(DISK_BYTES)
        return Box(MAC, disk, SERIAL, **{"memory_mib": 384, **more})

    def order(self, serial: str = SERIAL, *, mode: str = "bty-flash-once") -> None:
        [found] = self.server.get("/images")
        wanted = {"boot_mode": mode, "bty_image_ref": found["ref"], "target_disk_serial": serial}
        self.server.put(f"/machines/{MAC}", wanted)

    def kinds(self) -> list[str]:
        return [told.split(" ")[0] for told in self.server.story(MAC)]

    def event(self, kind: str) -> dict[str, Any]:
        """The only event of a kind, waited for."""
        until = time.monotonic() + STORY_SECONDS
        while time.monotonic() < until:
            query = f"/events?subject_kind=machine&subject_id={MAC}&kind={kind}"
            if found := self.server.get(query)["events"]:
                assert len(found) == 1, found
                return dict(found[0])
            time.sleep(0.5)
        raise AssertionError(f"no event {kind} of {self.kinds()}")


@contextmanager
def rack(pyz: Path, live_set: Path, directory: Path, form: str = "img.zst") -> Iterator[Rack]:
    packed = PACKED[form](image())
    with FickleMirror(packed) as mirror:
        catalog = directory / "catalog.toml"
        catalog.write_text(
            f'version = 1\n[[images]]\nname = "proof.{form}"\n'
            f'src = "http://{HOST}:{mirror.port}/proof.{form}"\n'
            f'sha256 = "{hashlib.sha256(packed).hexdigest()}"\nsize_bytes = {len(packed)}\n'
        )
        with Server(pyz, directory, live_set) as server:
            server.import_catalog(catalog)
            yield Rack(server, mirror, directory)


@pytest.fixture
def proof_rack(pyz: Path, live_set: Path, tmp_path: Path) -> Iterator[Rack]:
    with rack(pyz, live_set, tmp_path) as found:
        yield found


def to_the_disk(box: Box, server: Server) -> str:
    with Machine(box, server.port) as machine:
        machine.wait_for(proof_disk.MARKER, STORY_SECONDS)
        machine.wait_for_power_off()
        return machine.log


def test_the_same_packages_give_the_same_bytes(pyz: Path, live_set: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    command = ["python3", "-I", "-S", str(pyz), "live", "build", "--fast", "--output", str(again)]

    subprocess.run(command, check=True)

    digests = [
        {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in place.iterdir()}
        for place in (live_set, again)
    ]
    assert digests[0] == digests[1]
    assert len(digests[0]) == 3


def test_an_unknown_machine_tells_its_hardware_and_then_boots_its_disk(proof_rack: Rack) -> None:
    box = proof_rack.box()
    with box.disk.open("r+b") as disk:
        disk.write(image())

    log = to_the_disk(box, proof_rack.server)

    assert f"live environment {__version__}" in log
    record = proof_rack.server.machine(MAC)
    [disk_told] = record["known_disks"]
    assert (disk_told["serial"], disk_told["tran"]) == (SERIAL, "virtio")
    assert disk_told["size"] == "96M"
    tree = json.dumps(proof_rack.server.get(f"/machines/{MAC}/lshw.json"))
    assert '"class": "processor"' in tree
    assert MAC in tree
    assert "machine.inventory" in proof_rack.kinds()
    uptime = re.search(r"\[ *(\d+\.\d+)\] reboot: Restarting system", log)
    assert uptime is not None
    print(f"rebooted after its inventory at {uptime[1]} s of uptime")


@pytest.mark.parametrize(
    ("bus", "form"), [("virtio", "img.zst"), ("nvme", "img.xz"), ("sata", "img.gz")]
)
def test_a_blank_disk_is_flashed_and_boots(
    pyz: Path, live_set: Path, tmp_path: Path, bus: str, form: str
) -> None:
    with rack(pyz, live_set, tmp_path, form) as place:
        box = place.box(bus=bus)
        place.order()

        to_the_disk(box, place.server)
        downloads = place.mirror.downloads
        later = [to_the_disk(box, place.server) for _ in range(2)]

        kinds = place.kinds()
        assert not any("live environment" in log for log in later)
        assert kinds.count("machine.flashed") == 1
        assert "machine.flash_failed" not in kinds
        written = box.disk.read_bytes()
        assert written[: len(image())] == image()
        assert not any(written[-HEAD:])
        assert place.mirror.downloads == downloads


def test_flash_always_flashes_at_every_power_on(proof_rack: Rack) -> None:
    proof_rack.server.set("boot.grace_seconds", "1")  # else a power-on so soon is the same boot
    box = proof_rack.box()
    proof_rack.order(mode="bty-flash-always")

    for cycle in range(1, 4):
        box.disk.write_bytes(b"\xa5" * DISK_BYTES)
        to_the_disk(box, proof_rack.server)
        assert proof_rack.kinds().count("machine.flashed") == cycle
        assert box.disk.read_bytes()[: len(image())] == image()

    kinds = proof_rack.kinds()
    assert "machine.flash_failed" not in kinds
    assert proof_rack.server.machine(MAC)["boot_mode"] == "bty-flash-always"


def test_an_image_with_another_digest_never_boots_and_the_server_hears_why(
    proof_rack: Rack,
) -> None:
    box = proof_rack.box()
    proof_rack.order()
    proof_rack.mirror.spoil_next()

    with Machine(box, proof_rack.server.port):
        failed = proof_rack.event("machine.flash_failed")
        half = box.disk.read_bytes()

    assert "as was promised; the disk does not boot" in json.dumps(failed["details"])
    assert not any(half[:HEAD])


def test_a_power_cut_in_the_middle_leaves_a_disk_that_does_not_boot_and_is_flashed_again(
    proof_rack: Rack,
) -> None:
    box = proof_rack.box()
    proof_rack.order()
    proof_rack.mirror.hold()
    with Machine(box, proof_rack.server.port) as machine:
        machine.wait_for("writing", STORY_SECONDS)
        until = time.monotonic() + 60
        while not any(box.disk.read_bytes()[HEAD : 6 << 20]) and time.monotonic() < until:
            time.sleep(0.5)
    half = box.disk.read_bytes()
    proof_rack.mirror.release()

    to_the_disk(box, proof_rack.server)

    assert any(half[HEAD:])
    assert not any(half[:HEAD])
    assert box.disk.read_bytes()[: len(image())] == image()
    assert proof_rack.kinds().count("machine.flashed") == 1


def test_a_disk_that_was_swapped_is_not_written_to(proof_rack: Rack) -> None:
    box = proof_rack.box()
    box.disk.write_bytes(b"\xa5" * DISK_BYTES)
    proof_rack.order("ANOTHER-0003")

    with Machine(box, proof_rack.server.port):
        failed = proof_rack.event("machine.flash_failed")

    assert "ANOTHER-0003" in json.dumps(failed["details"])
    assert box.disk.read_bytes() == b"\xa5" * DISK_BYTES


def test_a_server_that_dies_during_the_flash_is_told_when_it_is_back(proof_rack: Rack) -> None:
    box = proof_rack.box()
    proof_rack.order()
    proof_rack.mirror.hold()

    with Machine(box, proof_rack.server.port) as machine:
        machine.wait_for("writing", STORY_SECONDS)
        proof_rack.server.kill()
        proof_rack.mirror.release()
        machine.wait_for("trying again", STORY_SECONDS)
        proof_rack.server.start()
        machine.wait_for(proof_disk.MARKER, STORY_SECONDS)

    assert proof_rack.kinds().count("machine.flashed") == 1


def test_an_archive_that_the_kernel_cut_off_is_said_and_not_run(
    live_set: Path, tmp_path: Path
) -> None:
    """Booted in another way than by our script, half of the memory is all that it gets."""
    kernel, initrd = (next(live_set.glob(f"*.{suffix}")) for suffix in ("vmlinuz", "initrd"))
    how = ["-kernel", str(kernel), "-initrd", str(initrd), "-append", "console=ttyS0"]

    wait_for("too little memory", [*how, "-m", "224"], tmp_path / "serial.log")


def wait_for(words: str, how: list[str], log: Path) -> None:
    """Start a machine in this way, and end it when it has said the words."""
    command = ["qemu-system-x86_64", "-nodefaults", "-accel", "tcg", "-display", "none", "-vga"]
    machine = subprocess.Popen([*command, "none", "-serial", f"file:{log}", *how])
    try:
        until = time.monotonic() + STORY_SECONDS
        while words not in (text := log.read_text("ascii", "replace") if log.exists() else ""):
            assert time.monotonic() < until, text[-3000:]
            time.sleep(0.5)
    finally:
        machine.kill()
        machine.wait()

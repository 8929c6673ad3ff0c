"""The stick: boots by BIOS and by UEFI with Secure Boot, into the wizard or to a server."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.boot.machine import HOST
from tests.boot.rack import DISK_BYTES, PACKED, SERIAL, image
from tests.boot.server import Server

pytestmark = pytest.mark.boot

OVMF = Path("/usr/share/OVMF")
STORY_SECONDS = 240.0
DOWN, ENTER = b"\x1b[B", b"\r"
MAC = "52:54:00:b0:07:77"
NAME = "proof.img.zst"
OLD = b"an older" * (DISK_BYTES // 8)


class Typing:
    """A machine at whose serial line somebody types."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        self._process = process
        self.said = ""

    def wait_for(self, words: str) -> None:
        until = time.monotonic() + STORY_SECONDS
        assert self._process.stdout is not None
        while words not in self.said:
            assert time.monotonic() < until, self.said[-3000:]
            assert self._process.poll() is None, self.said[-3000:]
            self.said += (self._process.stdout.read() or b"").decode("ascii", "replace")
            time.sleep(0.1)

    def type(self, keys: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(keys)
        self._process.stdin.flush()


@contextmanager
def stick(iso: Path, how: Sequence[str]) -> Iterator[Typing]:
    command = ["qemu-system-x86_64", "-nodefaults", "-accel", "tcg", "-m", "768"]
    command += ["-display", "none", "-vga", "none", "-serial", "stdio", "-device", "qemu-xhci"]
    command += ["-drive", f"if=none,id=stick,format=raw,readonly=on,file={iso}"]
    command += ["-device", "usb-storage,drive=stick,bootindex=1", *how]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield Typing(process)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def iso(live_set: Path) -> Path:
    return live_set.parent / "live.iso"


def with_secure_boot(directory: Path) -> list[str]:
    """Firmware that has the usual keys, and starts nothing that they did not sign."""
    variables = directory / "variables.fd"
    shutil.copyfile(OVMF / "OVMF_VARS_4M.ms.fd", variables)
    flash = "if=pflash,format=raw,unit="
    return [
        *("-machine", "q35,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on"),
        *("-drive", f"{flash}0,readonly=on,file={OVMF}/OVMF_CODE_4M.ms.fd"),
        *("-drive", f"{flash}1,file={variables}"),
    ]


@pytest.fixture
def with_images(tmp_path: Path) -> list[str]:
    """Another stick, with a file system and an image; and a disk, which is not empty."""
    (tmp_path / NAME).write_bytes(PACKED["img.zst"](image()))
    medium, disk = tmp_path / "images.fat", tmp_path / "disk.img"
    with medium.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mformat", "-i", str(medium), "-F", "::"], check=True)
    subprocess.run(["mcopy", "-i", str(medium), NAME, "::"], cwd=tmp_path, check=True)
    disk.write_bytes(OLD)
    return [
        *("-drive", f"if=none,id=images,format=raw,file={medium}"),
        *("-device", "usb-storage,drive=images"),
        *("-drive", f"if=none,id=disk,format=raw,file={disk}"),
        *("-device", f"virtio-blk-pci,drive=disk,serial={SERIAL}"),
    ]


def test_a_stick_boots_by_bios_and_its_wizard_flashes_an_image_that_is_on_another_stick(
    iso: Path, with_images: list[str], tmp_path: Path
) -> None:
    with stick(iso, with_images) as machine:
        machine.wait_for("Where are the images?")
        machine.type(b"l" + ENTER)
        machine.wait_for(NAME)
        machine.type(b"1" + ENTER)
        machine.wait_for(SERIAL)
        disks = machine.said.partition("Onto which disk")[2].splitlines()
        [row] = [line for line in disks if SERIAL in line]
        machine.type(row.split()[0].encode() + ENTER)
        machine.wait_for("Erase the disk and write the image?")
        machine.type(b"yes" + ENTER)
        machine.wait_for("The disk is flashed")

    assert sum("IN USE" in line for line in disks) == 1  # what has the image
    written = (tmp_path / "disk.img").read_bytes()
    assert written[: len(image())] == image()


def test_a_stick_boots_under_secure_boot_and_offers_the_wizard(iso: Path, tmp_path: Path) -> None:
    with stick(iso, with_secure_boot(tmp_path)) as machine:
        machine.wait_for("Secure boot enabled")
        machine.wait_for("Where are the images?")


def test_a_stick_asks_for_the_server_and_does_what_it_wants(
    iso: Path, pyz: Path, live_set: Path, tmp_path: Path
) -> None:
    card = ["-netdev", "user,id=lan", "-device", f"virtio-net-pci,netdev=lan,mac={MAC}"]
    with Server(pyz, tmp_path, live_set) as server, stick(iso, card) as machine:
        machine.wait_for("do what a server wants")
        machine.type(DOWN + ENTER)
        machine.wait_for("the address of the server")
        machine.type(f"{HOST}:{server.port}".encode() + ENTER)
        machine.wait_for("Restarting system")

        assert "machine.inventory" in [told.split(" ")[0] for told in server.story(MAC)]

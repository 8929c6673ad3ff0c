"""Our own live environment on UEFI: the firmware's network boot, iPXE as a program, the disk's."""

from __future__ import annotations

import pytest

from tests.boot import proof_disk
from tests.boot.machine import Box, Firmware, Machine
from tests.boot.rack import (
    MAC,
    SERIAL,
    STORY_SECONDS,
    Rack,
    image,
)
from tests.boot.server import Server

pytestmark = pytest.mark.boot


MEMORY_MIB = 640  # the firmware, iPXE and the kernel each hold the archive for a while


def to_the_disk(box: Box, server: Server) -> str:
    """Switch the box on and let it come as far as its disk; what its serial line said before."""
    with Machine(box, server.port) as machine:
        machine.wait_for(proof_disk.UEFI_MARKER, STORY_SECONDS)
        machine.wait_for_power_off()
        return machine.log


def test_an_unknown_machine_tells_its_hardware_and_then_boots_its_disk(proof_rack: Rack) -> None:
    box = proof_rack.box(firmware=Firmware.UEFI, memory_mib=MEMORY_MIB)
    with box.disk.open("r+b") as disk:
        disk.write(image())

    log = to_the_disk(box, proof_rack.server)

    assert "live environment" in log
    assert proof_disk.MARKER not in log
    [told] = proof_rack.server.machine(MAC)["known_disks"]
    assert told["serial"] == SERIAL
    assert proof_rack.server.story(MAC)[-1] == "netboot.pxe.offered bty-inventory-ipxe-exit"


def test_a_blank_disk_is_flashed_once_and_boots_from_then_on(proof_rack: Rack) -> None:
    box = proof_rack.box(firmware=Firmware.UEFI, memory_mib=MEMORY_MIB)
    proof_rack.order()

    first = to_the_disk(box, proof_rack.server)
    downloads = proof_rack.mirror.downloads
    second = to_the_disk(box, proof_rack.server)

    assert "live environment" in first
    assert "live environment" not in second
    assert proof_rack.kinds().count("machine.flashed") == 1
    assert proof_rack.mirror.downloads == downloads
    assert box.disk.read_bytes()[: len(image())] == image()

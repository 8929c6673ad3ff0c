"""A machine's own iPXE boots from `bty.pyz serve`, and the audit log tells what happened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bty_app import __version__
from tests.boot import proof_disk
from tests.boot.conftest import BootDir
from tests.boot.initramfs import Completion
from tests.boot.machine import Box, Machine
from tests.boot.mirror import FickleMirror
from tests.boot.server import Server
from tests.file_host import file_host
from tests.netboot_set import with_manifest

pytestmark = pytest.mark.boot

MAC = "52:54:00:b0:07:01"
SERIAL = "PROOF-0001"

ARMED_AND_REPORTED = ["netboot.flasher.armed", "machine.inventory"]
FLASH_CYCLE = [
    "netboot.pxe.offered bty-flash-once",
    *ARMED_AND_REPORTED,
    "netboot.pxe.plan plan:flash:bty-flash-once",
    "machine.flashed",
    "netboot.pxe.offered bty-flash-once-ipxe-exit",
]


@pytest.fixture
def server(pyz: Path, tmp_path: Path, boot_dir: BootDir) -> Iterator[Server]:
    with Server(pyz, tmp_path, boot_dir(Completion.STATUS)) as running:
        yield running


def order_flash(server: Server, catalog: Path) -> None:
    """What an operator does: an image for this machine, onto the disk of this serial, once."""
    server.put(
        f"/machines/{MAC}",
        {
            "bty_image_ref": server.import_catalog(catalog),
            "boot_mode": "bty-flash-once",
            "target_disk_serial": SERIAL,
        },
    )


def boot_to_the_disk(box: Box, server: Server) -> str:
    """Switch the box on and let it come as far as its disk; what its serial line said."""
    with Machine(box, server.port) as machine:
        machine.wait_for(proof_disk.MARKER)
        machine.wait_for_power_off()
        return machine.log


def before_the_disk(log: str) -> str:
    """What the machine said until its disk came up."""
    return log.partition(proof_disk.MARKER)[0]


def test_an_unknown_machine_is_discovered_and_inventoried_and_then_boots_its_disk(
    server: Server, tmp_path: Path
) -> None:
    box = Box(MAC, proof_disk.flashed(tmp_path / "disk.img"), SERIAL)

    log = boot_to_the_disk(box, server)

    assert "bty-guest: posted inventory" in before_the_disk(log)
    assert server.story(MAC) == [
        "machine.discovered",
        "netboot.pxe.offered bty-inventory",
        *ARMED_AND_REPORTED,
        "netboot.pxe.plan plan:inventory",
        "netboot.pxe.offered bty-inventory-ipxe-exit",
    ]
    [disk] = server.machine(MAC)["known_disks"]
    assert (disk["serial"], disk["size"]) == (SERIAL, str(proof_disk.DISK_SIZE))


def test_a_machine_boots_the_artifacts_that_were_fetched_while_it_waited(
    pyz: Path, tmp_path: Path, boot_dir: BootDir
) -> None:
    files = {path.name: path.read_bytes() for path in boot_dir(Completion.STATUS).iterdir()}
    box = Box(MAC, proof_disk.flashed(tmp_path / "disk.img"), SERIAL)
    with file_host() as releases:
        base = releases.url("/bty")
        with Server(pyz, tmp_path, tmp_path / "empty", BTY_UPSTREAM_NETBOOT_REPO=base) as server:
            with Machine(box, server.port) as machine:
                machine.wait_for("no live environment is installed")
            manifest = with_manifest(__version__, files)
            releases.files |= {f"/bty/v{__version__}/{n}": data for n, data in manifest.items()}
            fetch = server.fetch_release()
            log = boot_to_the_disk(box, server)

    assert (fetch["status"], fetch["error"]) == ("completed", None)
    assert "bty-guest: posted inventory" in before_the_disk(log)


def test_a_blank_disk_is_flashed_once_and_boots_from_then_on(
    server: Server, tmp_path: Path, catalog: Path, mirror: FickleMirror
) -> None:
    box = Box(MAC, proof_disk.blank(tmp_path / "disk.img"), SERIAL)
    order_flash(server, catalog)

    first = boot_to_the_disk(box, server)
    second = boot_to_the_disk(box, server)

    assert "bty-guest: flashed" in before_the_disk(first)
    assert "bty-guest" not in second
    assert box.disk.read_bytes().startswith(mirror.image)
    assert mirror.downloads == 1
    assert server.story(MAC) == [
        "machine.created",
        *FLASH_CYCLE,
        "netboot.pxe.offered bty-flash-once-ipxe-exit",
    ]


def test_a_power_cut_in_the_middle_of_a_flash_leads_to_the_flasher_and_not_to_the_disk(
    server: Server, tmp_path: Path, catalog: Path, mirror: FickleMirror
) -> None:
    box = Box(MAC, proof_disk.blank(tmp_path / "disk.img"), SERIAL)
    order_flash(server, catalog)
    mirror.hold()
    with Machine(box, server.port) as machine:
        machine.wait_for("bty-guest: wrote block 3")
    half_written = box.disk.read_bytes()
    mirror.release()

    log = boot_to_the_disk(box, server)

    assert half_written.startswith(proof_disk.boot_sector()), "this disk could have been booted"
    assert not half_written.startswith(mirror.image)
    assert "bty-guest: flashed" in before_the_disk(log)
    assert server.story(MAC) == [
        "machine.created",
        *FLASH_CYCLE[:4],
        "netboot.pxe.offered bty-flash-once",
        "machine.inventory",
        *FLASH_CYCLE[3:],
    ]


def test_a_flash_that_failed_is_tried_again_and_its_disk_is_not_booted(
    server: Server, tmp_path: Path, catalog: Path, mirror: FickleMirror
) -> None:
    box = Box(MAC, proof_disk.blank(tmp_path / "disk.img"), SERIAL)
    order_flash(server, catalog)
    mirror.spoil_next()

    log = boot_to_the_disk(box, server)

    assert "bty-guest: flash failed" in before_the_disk(log)
    assert "bty-guest: flashed" in before_the_disk(log)
    assert server.story(MAC) == [
        "machine.created",
        *FLASH_CYCLE[:4],
        "machine.flash_failed",
        *FLASH_CYCLE,
    ]


def test_a_server_killed_during_a_flash_takes_the_report_after_its_restart(
    pyz: Path, tmp_path: Path, boot_dir: BootDir, catalog: Path, mirror: FickleMirror
) -> None:
    box = Box(MAC, proof_disk.blank(tmp_path / "disk.img"), SERIAL)
    mirror.hold()

    with Server(pyz, tmp_path, boot_dir(Completion.DONE)) as server:
        order_flash(server, catalog)
        with Machine(box, server.port) as machine:
            machine.wait_for("bty-guest: wrote block 3")
            server.kill()
            mirror.release()
            machine.wait_for("bty-guest: server did not take done")
            server.start()
            machine.wait_for(proof_disk.MARKER)
        story = server.story(MAC)

    assert story == ["machine.created", *FLASH_CYCLE]

"""A box of arm64, from its firmware to its inventory, by a server that runs on x86-64."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bty_app import __version__
from tests.boot.lan import TAP, lan
from tests.boot.machine import IPXE, Box, Firmware, Machine
from tests.boot.server import Server

pytestmark = pytest.mark.boot

MAC = "52:54:00:b0:07:31"
SECONDS = 400.0  # each instruction is translated; alone it takes a tenth of that


def test_a_box_of_arm64_tells_its_hardware_and_is_not_flashed_with_what_is_for_others(
    pyz: Path, arm64_set: Path, tmp_path: Path
) -> None:
    """Its firmware asks DHCP and TFTP, iPXE for arm64 runs our script, our client tells."""
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(32 << 20))
    box = Box(MAC, disk, "ARM-0001", memory_mib=768, firmware=Firmware.ARM64)
    with lan(tmp_path) as made, made.at("server"):
        server = Server(
            pyz,
            tmp_path,
            arm64_set,
            BTY_SERVER_HOST="0.0.0.0",  # noqa: S104 - of a namespace
            BTY_NETBOOT_TFTP="true",
            BTY_NETBOOT_PROXY_DHCP="true",
            BTY_NETBOOT_IPXE_DIR=str(IPXE),
        )
        with server:
            with made.at("switch"), Machine(box, TAP) as machine:
                machine.wait_for(f"live environment {__version__}, aarch64", SECONDS)
                with made.at("server"):
                    wait_for_inventory(server)

            [boot] = server.get(f"/api/v1/machines/{MAC}/timeline")["boots"]
            stages = [(seen["stage"], seen["detail"]) for seen in boot["stages"]]
            assert [stage for stage, _ in stages[:2]] == ["dhcp.asked", "dhcp.offered"]
            assert (stages[1][1]["file"], stages[1][1]["architecture"]) == ("ipxe-arm64.efi", 11)
            assert {"tftp.done", "ipxe.script", "kernel.done", "initrd.done"} <= dict(stages).keys()
            record = server.get(f"/api/v1/machines/{MAC}")
            assert record["architecture"] == "arm64"
            [told] = record["known_disks"]
            assert told["serial"] == "ARM-0001"

            catalog = tmp_path / "catalog.toml"
            catalog.write_text(
                'version = 1\n[[images]]\nname = "debian-amd64.img"\n'
                f'src = "http://192.0.2.1/debian-amd64.img"\nsha256 = "{"a" * 64}"\n'
            )
            ref = server.import_catalog(catalog)
            order = {"boot_mode": "bty-flash-once", "target_disk_serial": "ARM-0001"}
            server.put(f"/machines/{MAC}", {**order, "bty_image_ref": ref})
            assert server.get(f"/pxe/{MAC}/plan")["mode"] == "exit"
            assert "machine.flash.held_back" in server.story(MAC)


def wait_for_inventory(server: Server) -> None:
    until = time.monotonic() + SECONDS
    while "machine.inventory" not in server.story(MAC):
        assert time.monotonic() < until, server.story(MAC)
        time.sleep(0.5)

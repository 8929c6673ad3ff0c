"""Boxes with firmware as it is, in a LAN whose DHCP server knows nothing of booting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.boot.lan import TAP, Lan, lan
from tests.boot.machine import IPXE, Box, Firmware, Machine
from tests.boot.server import Server

pytestmark = pytest.mark.boot

SECONDS = 120.0
REACHED = "no live environment is installed"  # what /pxe/{mac} says on the screen


@dataclass(frozen=True, slots=True)
class Site:
    """A LAN with our server in it."""

    lan: Lan
    server: Server
    directory: Path

    def boot(self, mac: str, firmware: Firmware) -> str:
        """Switch a box on, until it has its script; what its serial line said."""
        disk = self.directory / f"{firmware}.img"
        disk.write_bytes(bytes(1 << 20))
        box = Box(mac, disk, "EMPTY-0001", firmware=firmware)
        with self.lan.at("switch"), Machine(box, TAP) as machine:
            machine.wait_for(REACHED, SECONDS)
            return machine.log

    def stages(self, mac: str) -> list[dict[str, object]]:
        """What the timeline has of its only boot, oldest first."""
        with self.lan.at("server"):
            [boot] = self.server.get(f"/api/v1/machines/{mac}/timeline")["boots"]
        return list(boot["stages"])


@pytest.fixture(scope="module")
def place(pyz: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("lan")
    with lan(directory) as made, made.at("server"):
        server = Server(
            pyz,
            directory,
            directory / "boot",
            BTY_SERVER_HOST="0.0.0.0",
            BTY_NETBOOT_TFTP="true",
            BTY_NETBOOT_PROXY_DHCP="true",
            BTY_NETBOOT_IPXE_DIR=str(IPXE),
        )
        with server:
            yield Site(made, server, directory)


def test_bios(place: Site) -> None:
    mac = "52:54:00:b0:07:21"
    log = place.boot(mac, Firmware.BIOS)
    for stage in place.stages(mac):
        print(stage)
    print(place.server.log_tail())
    assert 0


def test_uefi(place: Site) -> None:
    mac = "52:54:00:b0:07:22"
    log = place.boot(mac, Firmware.UEFI)
    for stage in place.stages(mac):
        print(stage)
    print(place.server.log_tail())
    assert 0


def test_uefi_http(place: Site) -> None:
    mac = "52:54:00:b0:07:23"
    log = place.boot(mac, Firmware.UEFI_HTTP)
    for stage in place.stages(mac):
        print(stage)
    print(place.server.log_tail())
    assert 0

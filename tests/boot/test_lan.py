"""Boxes with firmware as it is, in a LAN whose DHCP server knows nothing of booting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.boot.lan import SERVER, TAP, Lan, lan
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

    def leases(self) -> str:
        """What the LAN's DHCP server has leased."""
        return (self.directory / "leases").read_text()

    def told(self, mac: str) -> list[str]:
        """The stages of its only boot, with the file that each is about."""
        stages = self.stages(mac)
        return [f"{seen['stage']} {seen['detail'].get('file', '')}".strip() for seen in stages]

    def stages(self, mac: str) -> list[dict[str, Any]]:
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
            BTY_SERVER_HOST="0.0.0.0",  # noqa: S104 - of a namespace
            BTY_NETBOOT_TFTP="true",
            BTY_NETBOOT_PROXY_DHCP="true",
            BTY_NETBOOT_IPXE_DIR=str(IPXE),
        )
        with server:
            yield Site(made, server, directory)


def test_a_bios_box_gets_its_address_from_the_lan_and_its_script_from_us(place: Site) -> None:
    """The card's ROM is iPXE: it asks proxy DHCP, and needs no TFTP."""
    mac = "52:54:00:b0:07:21"

    log = place.boot(mac, Firmware.BIOS)

    assert mac in place.leases()
    assert "/pxe-bootstrap.ipxe" in log
    assert place.told(mac) == [
        "dhcp.asked",
        f"dhcp.offered http://{SERVER}:{place.server.port}/pxe-bootstrap.ipxe",
        "ipxe.bootstrap",
        "ipxe.script",
    ]


def test_a_uefi_box_without_ipxe_gets_it_by_tftp(place: Site) -> None:
    """OVMF opens the file twice, the first time for its size alone: no failure."""
    mac = "52:54:00:b0:07:22"

    log = place.boot(mac, Firmware.UEFI)

    size = (IPXE / "ipxe.efi").stat().st_size
    assert mac in place.leases()
    assert f"Server IP address is {SERVER}" in log
    assert f"NBP filesize is {size} Bytes" in log
    assert place.told(mac) == [
        "dhcp.asked",
        "dhcp.offered ipxe.efi",
        "tftp.started ipxe.efi",
        "tftp.done ipxe.efi",
        "tftp.started autoexec.ipxe",
        "tftp.done autoexec.ipxe",
        "dhcp.asked",
        f"dhcp.offered http://{SERVER}:{place.server.port}/pxe-bootstrap.ipxe",
        "ipxe.bootstrap",
        "ipxe.script",
    ]
    [_, _, asked, sent, *_] = place.stages(mac)
    assert asked["times"] == 2
    assert sent["detail"]["bytes"] == size


def test_a_uefi_box_boots_by_http(place: Site) -> None:
    """It asks as HTTPClient, sends a HEAD before its GET, and needs no TFTP."""
    mac = "52:54:00:b0:07:23"

    log = place.boot(mac, Firmware.UEFI_HTTP)

    url = f"http://{SERVER}:{place.server.port}"
    assert f"URI: {url}/boot/ipxe.efi" in log
    assert "autoexec.ipxe... ok" in log
    assert place.told(mac) == [
        "dhcp.asked",
        f"dhcp.offered {url}/boot/ipxe.efi",
        "http.loader ipxe.efi",
        "dhcp.asked",
        f"dhcp.offered {url}/pxe-bootstrap.ipxe",
        "ipxe.bootstrap",
        "ipxe.script",
    ]

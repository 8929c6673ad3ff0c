"""A BIOS box whose DHCP server names `undionly.kpxe` to its ROM, and us to fetch it from.

The card's ROM is an iPXE, which is a PXE stack like any other to what it loads: `undionly.kpxe`
has no driver of its own and reaches the network through the ROM's UNDI (PXE 2.1) alone. Both call
themselves iPXE, so the DHCP server is told once the ROM has handed over; were it told too late,
the box would only load it once more.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.boot.lan import SERVER, TAP, lan
from tests.boot.machine import IPXE, Box, Machine
from tests.boot.server import Server

pytestmark = pytest.mark.boot

MAC = "52:54:00:b0:07:31"
FILE = "undionly.kpxe"
SECONDS = 120.0


def test_a_bios_box_gets_undionly_by_tftp_and_its_script_through_undi(
    pyz: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(1 << 20))
    box = Box(MAC, disk, "EMPTY-0001", card="e1000")
    with lan(tmp_path, FILE) as made, made.at("server"):
        server = Server(
            pyz,
            tmp_path,
            tmp_path / "boot",
            BTY_SERVER_HOST="0.0.0.0",  # noqa: S104 - of a namespace
            BTY_NETBOOT_TFTP="true",
            BTY_NETBOOT_IPXE_DIR=str(IPXE),
        )
        with server:
            with made.at("switch"), Machine(box, TAP) as machine:
                machine.wait_for("UNDI device is", SECONDS)
                (tmp_path / "hosts" / "box").write_text(f"{MAC},set:loaded\n")
                machine.wait_for("no live environment is installed", SECONDS)
                log = machine.log
            [boot] = server.get(f"/api/v1/machines/{MAC}/timeline")["boots"]

    stages = boot["stages"]
    told = [f"{seen['stage']} {seen['detail'].get('file', '')}".strip() for seen in stages]
    assert told[:2] == [f"tftp.started {FILE}", f"tftp.done {FILE}"]
    assert told[-4:] == [
        "tftp.started autoexec.ipxe",
        "tftp.done autoexec.ipxe",
        "ipxe.bootstrap",
        "ipxe.script",
    ]
    assert stages[1]["detail"]["bytes"] == (IPXE / FILE).stat().st_size
    _rom, undi = log.split("UNDI device is", 1)
    assert "using undionly on" in undi
    assert f"http://{SERVER}:{server.port}/pxe-bootstrap.ipxe" in undi

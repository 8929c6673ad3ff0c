"""The scripts for a machine whose disk must not be booted, carried out by a real iPXE."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from bty_app.domain.artifacts import Live
from bty_app.domain.boot import LiveEnv, LocalDisk, Offer, Purpose, Wait
from bty_app.domain.mac import parse_mac
from bty_app.netboot import ipxe
from tests.boot import proof_disk
from tests.boot.answers import ListedAnswers
from tests.boot.machine import Box, Machine

pytestmark = pytest.mark.boot

MAC = parse_mac("52:54:00:b0:07:02")
CONTACT = "/pxe/52-54-00-b0-07-02"


def script(offer: Offer, base_url: str) -> str:
    context = ipxe.Context(base_url, MAC, Live("0"), disk_suspect=True)
    return ipxe.script(offer, context, because="held")


def test_a_machine_told_to_wait_asks_again_through_every_fault_until_it_may_boot_its_disk(
    tmp_path: Path,
) -> None:
    box = Box(MAC, proof_disk.flashed(tmp_path / "disk.img"), "PROOF-0002")
    away = None
    files_missing = partial(script, LiveEnv(Purpose.FLASH))
    answers = [
        away,
        partial(script, Wait(1)),
        away,
        files_missing,
        partial(script, LocalDisk("0x80")),
    ]

    with ListedAnswers(answers) as server, Machine(box, server.port) as machine:
        machine.wait_for(proof_disk.MARKER)

    assert server.asked == [
        "/pxe-bootstrap.ipxe",
        CONTACT,
        CONTACT,
        CONTACT,
        CONTACT,
        "/boot/bty-netboot-pc-x86_64-v0.vmlinuz",
        CONTACT,
    ]

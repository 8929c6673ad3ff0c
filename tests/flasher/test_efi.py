"""An entry in the firmware for the flashed system: only where it is asked for."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.errors import FlashError
from bty_app.flasher.efi import LABEL, entries, is_wanted, register, system_partition
from tests.flasher.fakes import DISK

SYSTEM = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
LINUX = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")
LISTED = """BootCurrent: 0001
Timeout: 1 seconds
BootOrder: 0001,0003
Boot0001* UEFI PXE (MAC:525400123456)\tPciRoot(0x0)/Pci(0x3,0x0)
Boot0003* bty flashed\tHD(1,GPT,aa)/File(\\EFI\\BOOT\\BOOTX64.EFI)
Boot00A4  bty flashed of another kind
Boot000A  bty flashed
"""


def gpt(*kinds: uuid.UUID, sector: int = 512, size: int = 128, first: int = 2) -> bytes:
    """The beginning of a disk with these partitions."""
    header = b"EFI PART" + bytes(64) + struct.pack("<QIII", first, 128, size, 0)
    table = b"".join(kind.bytes_le + bytes(size - 16) for kind in kinds)
    start = bytes(510) + b"\x55\xaa"
    return (start.ljust(sector, b"\0") + header).ljust(first * sector, b"\0") + table


class Efibootmgr:
    """The firmware's entries."""

    def __init__(self, *, makes: bool = True) -> None:
        self.commands: list[Sequence[str]] = []
        self.listed = LISTED
        self.makes = makes

    def __call__(self, command: Sequence[str]) -> str:
        self.commands.append(command)
        if "--delete-bootnum" in command:
            kept = [line for line in self.listed.splitlines() if f"Boot{command[-1]}" not in line]
            self.listed = "\n".join(kept) + "\n"
        if "--create-only" in command and self.makes:
            self.listed += f"Boot0002* {LABEL}\tHD(1)\n"
        return self.listed


def made(tmp_path: Path, manager: Efibootmgr, head: bytes, machine: str = "x86_64") -> str:
    return register(
        DISK, read=lambda _path, _n: head, run=manager, efivars=tmp_path, machine=machine
    )


@pytest.mark.parametrize(
    ("value", "wanted"),
    [("1", True), ("true", True), (" YES ", True), ("0", False), ("", False), ("maybe", False)],
)
def test_it_is_done_only_when_it_is_asked_for(value: str, *, wanted: bool) -> None:
    assert is_wanted({"BTY_REGISTER_UEFI_BOOT": value}) is wanted
    assert not is_wanted({})


def test_an_entry_replaces_ours_and_is_booted_once(tmp_path: Path) -> None:
    manager = Efibootmgr()

    said = made(tmp_path, manager, gpt(LINUX, SYSTEM))

    assert said == "the firmware boots the disk next, by its entry 0002"
    changes = [list(command[1:]) for command in manager.commands if len(command) > 1]
    assert changes == [
        ["--delete-bootnum", "--bootnum", "0003"],
        ["--delete-bootnum", "--bootnum", "000A"],
        [
            *("--create-only", "--disk", "/dev/sda", "--part", "2"),
            *("--loader", "\\EFI\\BOOT\\BOOTX64.EFI", "--label", "bty flashed"),
        ],
        ["--bootnext", "0002"],
    ]


def test_an_arm_machine_has_its_own_loader(tmp_path: Path) -> None:
    manager = Efibootmgr()

    made(tmp_path, manager, gpt(SYSTEM), "aarch64")

    assert any("\\EFI\\BOOT\\BOOTAA64.EFI" in command for command in manager.commands)


@pytest.mark.parametrize(
    ("head", "machine", "why"),
    [
        (gpt(LINUX), "x86_64", "has no EFI system partition"),
        (b"", "x86_64", "has no EFI system partition"),
        (gpt(SYSTEM), "riscv64", "was not booted by UEFI"),
    ],
)
def test_what_cannot_be_registered_is_said_and_changes_nothing(
    tmp_path: Path, head: bytes, machine: str, why: str
) -> None:
    manager = Efibootmgr()

    with pytest.raises(FlashError, match=why):
        made(tmp_path, manager, head, machine)

    assert manager.commands == []


def test_a_machine_with_a_bios_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(FlashError, match="was not booted by UEFI"):
        made(tmp_path / "none", Efibootmgr(), gpt(SYSTEM))


def test_an_entry_that_was_not_made_is_no_success(tmp_path: Path) -> None:
    with pytest.raises(FlashError, match="made no entry"):
        made(tmp_path, Efibootmgr(makes=False), gpt(SYSTEM))


def test_without_efibootmgr_there_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(FlashError, match="efibootmgr"):
        register(DISK, read=lambda _path, _n: gpt(SYSTEM), efivars=tmp_path, machine="x86_64")


MBR = bytearray(512)
MBR[446 + 16 + 4], MBR[510:512] = 0xEF, b"\x55\xaa"


@pytest.mark.parametrize(
    ("head", "sector", "number"),
    [
        (gpt(LINUX, LINUX, SYSTEM), 512, 3),
        (gpt(LINUX, SYSTEM, sector=4096), 4096, 2),
        (gpt(LINUX, SYSTEM, size=256), 512, 2),
        (gpt(SYSTEM, size=64), 512, None),
        (gpt(SYSTEM, first=2**40 % 77), 512, 1),
        (bytes(MBR), 512, 2),
        (bytes(512), 512, None),
    ],
)
def test_the_system_partition_is_found(head: bytes, sector: int, number: int | None) -> None:
    assert system_partition(head, sector) == number


@given(st.binary(max_size=2048), st.sampled_from([512, 4096]))
def test_any_disk_is_read(data: bytes, sector: int) -> None:
    header = b"EFI PART" + data
    system_partition(bytes(sector) + header, sector)
    system_partition(data, sector)


def test_entries_are_known_by_their_whole_label() -> None:
    assert entries(LISTED, LABEL) == ["0003", "000A"]

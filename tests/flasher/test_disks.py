"""Which disks there are, which one is meant, and which must not be written."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.inventory import parse_inventory
from bty_app.errors import FlashError, FlashRaceError, FlashRefusedError, InvalidInputError
from bty_app.flasher.block_devices import System, numbers_of_path
from bty_app.flasher.block_facts import parameter, parse_lsblk, parse_mountinfo, parse_swaps
from bty_app.flasher.disks import Disk, check_unchanged, check_writable, find, probe
from bty_app.flasher.inventory import inventory, lsblk_size, read_lshw
from tests.flasher.machines import Captured

DISK = Disk(path="/dev/sda", size_bytes=2**30, serial="S1", model="M", device_numbers=(8, 0))


@pytest.fixture
def guest(tmp_path: Path) -> Captured:
    return Captured(tmp_path, "guest")


@pytest.fixture
def laptop(tmp_path: Path) -> Captured:
    return Captured(tmp_path, "laptop")


# -- which there are ---------------------------------------------------------------------------


def test_disks_are_listed_and_nothing_that_only_looks_like_one(
    guest: Captured, tmp_path: Path
) -> None:
    laptop = Captured(tmp_path / "laptop", "laptop")

    assert list(guest.disks()) == [
        *("/dev/mmcblk0", "/dev/nvme0n1", "/dev/sda", "/dev/sdb"),
        *("/dev/sdc", "/dev/sdd", "/dev/sde", "/dev/vda"),
    ]
    assert list(laptop.disks()) == [
        *("/dev/mmcblk0", "/dev/nvme0n1", "/dev/sda", "/dev/sdb", "/dev/sdc"),
    ]


@pytest.mark.parametrize(
    ("path", "serial", "model", "tran"),
    [
        ("/dev/nvme0n1", "NVME-1", "QEMU NVMe Ctrl", "nvme"),
        ("/dev/sda", "SATA-ONE", "QEMU HARDDISK", "sata"),
        ("/dev/sdc", "MPATH-1", "QEMU HARDDISK", "virtio"),
        ("/dev/vda", "VIRT-1", None, "virtio"),
        ("/dev/mmcblk0", "0xdeadbeef", None, "mmc"),
        ("/dev/sde", None, "QEMU HARDDISK", "usb"),
    ],
)
@pytest.mark.parametrize("has_lsblk", [True, False])
def test_a_disk_has_its_identity_with_and_without_lsblk(
    guest: Captured, *, has_lsblk: bool, path: str, serial: str, model: str, tran: str
) -> None:
    if not has_lsblk:
        guest.lsblk = None

    disk = guest.disks()[path]

    assert (disk.serial, disk.model, disk.tran) == (serial, model, tran)
    assert disk.size_bytes == 64 * 2**20


def test_a_disk_has_its_facts(laptop: Captured) -> None:
    disk = laptop.disks()["/dev/nvme0n1"]

    assert disk.about == "SAMSUNG MZVL2512HCJQ-00B00 (serial S675NX0T512345, /dev/nvme0n1)"
    assert (disk.logical_sector, disk.physical_sector, disk.rotational) == (512, 4096, False)
    assert (disk.zeroes, disk.discards, disk.device_numbers) == (True, True, (259, 0))
    assert [(part.name, part.fstype, part.label) for part in disk.parts] == [
        ("nvme0n1p1", "vfat", "EFI"),
        ("nvme0n1p2", "crypto_LUKS", None),
    ]


@pytest.mark.parametrize("answer", [None, "", "{}", "no JSON", '{"blockdevices":[7,{"name":7}]}'])
def test_a_broken_lsblk_does_not_hide_what_is_in_use(guest: Captured, answer: str | None) -> None:
    before = {path: disk.in_use for path, disk in guest.disks().items()}

    guest.lsblk = answer

    assert {path: disk.in_use for path, disk in guest.disks().items()} == before


def test_without_sys_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(FlashError, match="cannot be listed"):
        probe(System(sys=tmp_path, proc=tmp_path, lsblk=lambda: None))


def test_the_disks_of_the_machine_that_runs_the_tests_can_be_listed() -> None:
    for disk in probe():
        assert re.fullmatch(r"/dev/\S+", disk.path)
        assert disk.size_bytes > 0


# -- which must not be written -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("machine", "path", "reasons"),
    [
        ("firecracker", "/dev/vda", ["vda is mounted at /, where this system runs from"]),
        ("guest", "/dev/vda", ["vda1 is mounted at /mnt", "vda2 is swap space in use"]),
        (
            "guest",
            "/dev/sda",
            ["sda1 is part of md0 (RAID array), which is part of dm-0 (LVM vg-home),"
             " mounted at /home"],
        ),
        ("guest", "/dev/sdd", ["sdd is part of dm-1 (mpath mpatha)"]),
        ("guest", "/dev/nvme0n1", []),
        ("guest", "/dev/sde", []),
        ("guest", "/dev/mmcblk0", []),
        ("laptop", "/dev/sdc", ["sdc1 is mounted at /media/my stick"]),
        ("laptop", "/dev/sda", ["sda1 is part of the zfs pool tank"]),
        (
            "laptop",
            "/dev/nvme0n1",
            [
                "nvme0n1p1 is mounted at /boot/efi",
                "nvme0n1p2 is part of dm-0 (CRYPT cryptroot),"
                " mounted at /, where this system runs from",
            ],
        ),
        ("laptop", "/dev/mmcblk0", []),
    ],
)  # fmt: skip
def test_a_disk_in_use_says_what_uses_it(
    tmp_path: Path, machine: str, path: str, reasons: list[str]
) -> None:
    disk = Captured(tmp_path, machine).disks()[path]

    assert list(disk.in_use) == reasons
    if reasons:
        with pytest.raises(FlashRefusedError, match=re.escape(reasons[0])):
            check_writable(disk)
    else:
        check_writable(disk)


def test_a_file_system_over_several_disks_is_found_by_its_device(guest: Captured) -> None:
    guest.capture["numbers"] = {"/dev/nvme0n1p2": [259, 2]}
    guest.mount("0:40", "/srv", fstype="btrfs", source="/dev/nvme0n1p2")

    assert guest.disks()["/dev/nvme0n1"].in_use == ("nvme0n1p2 is mounted at /srv",)


def test_what_the_kernel_gives_to_nobody_is_in_use_whoever_has_it(guest: Captured) -> None:
    guest.busy.add("/dev/sde")

    assert guest.disks()["/dev/sde"].in_use == ("another program or the kernel holds it",)


def test_a_zfs_pool_that_is_not_imported_uses_nothing(laptop: Captured) -> None:
    laptop.busy.discard("/dev/sda")
    laptop.capture["zpools"] = []
    (laptop.directory / "proc/spl/kstat/zfs/tank/io").unlink()
    (laptop.directory / "proc/spl/kstat/zfs/tank").rmdir()

    assert laptop.disks()["/dev/sda"].in_use == ()


@pytest.mark.parametrize(
    ("command_line", "is_medium"),
    [
        ("boot=live live-media=/dev/sdc1 toram", True),
        ("boot=live live-media=LABEL=LIVE", True),
        ("root=UUID=b1c2-d3e4", True),
        ("root=/dev/disk/by-uuid/B1C2-D3E4", True),
        ("root=PARTUUID=5D2F0E4C-01 ro", True),
        ('root="LABEL=LIVE"', True),
        ("root=/dev/stick", True),
        ("root=LABEL=LIVE root=/dev/ram0", False),  # the last one counts
        ("root=LABEL= live-media=UUID= bty.medium", False),
        ("live-media=/dev/sdd1", False),
        ("xroot=/dev/sdc1 quiet", False),
    ],
)
def test_the_medium_that_the_system_came_from_is_in_use_even_when_it_runs_from_memory(
    laptop: Captured, *, command_line: str, is_medium: bool
) -> None:
    laptop.busy.clear()
    laptop.capture["numbers"]["/dev/stick"] = [8, 33]
    laptop.write("proc/self/mountinfo", "")
    laptop.write("proc/cmdline", f"{command_line}\n")

    in_use = laptop.disks()["/dev/sdc"].in_use

    assert in_use == (("this system was started from it",) if is_medium else ())


def test_a_live_medium_is_called_what_it_is(laptop: Captured) -> None:
    laptop.write("proc/self/mountinfo", "")
    laptop.mount("8:33", "/run/live/medium")

    (reason,) = laptop.disks()["/dev/sdc"].in_use

    assert reason == "sdc1 is mounted at /run/live/medium, where this system runs from"


def test_a_ring_of_holders_is_walked_once(guest: Captured) -> None:
    guest.write("sys/devices/virtual/block/dm-0/holders/md0", "")

    assert "md0" in guest.disks()["/dev/sda"].in_use[0]


def test_hundreds_of_mounts_are_told_in_a_few_words(guest: Captured) -> None:
    for number in range(300):
        guest.mount("8:64", f"/m{number}")

    in_use = guest.disks()["/dev/sde"].in_use

    assert len(in_use) == 7
    assert in_use[-1] == "and 294 more"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"read_only": True}, "M (serial S1, /dev/sda) is read-only"),
        ({"size_bytes": 0}, "has no size"),
        ({"in_use": ("sda1 is mounted at /", "b")}, "is in use: sda1 is mounted at /; b"),
    ],
)
def test_a_disk_that_cannot_be_written_is_refused(change: dict[str, Any], why: str) -> None:
    check_writable(DISK)
    with pytest.raises(FlashRefusedError, match=re.escape(why)):
        check_writable(replace(DISK, **change))


@pytest.mark.parametrize("flag", [True, "1", 1])
def test_a_disk_is_read_only_where_the_kernel_or_any_lsblk_says_so(
    laptop: Captured, flag: object
) -> None:
    rows = laptop.capture["lsblk"]["blockdevices"]
    for row in rows:
        row["ro"] = flag if row["name"] == "sda" else "0"
    laptop.lsblk = json.dumps({"blockdevices": rows})

    found = {path: disk.read_only for path, disk in laptop.disks().items()}

    assert [path for path, read_only in found.items() if read_only] == ["/dev/sda", "/dev/sdb"]


# -- which one is meant ------------------------------------------------------------------------


def test_a_disk_is_found_by_its_serial_whatever_space_is_around_it(laptop: Captured) -> None:
    disks = list(laptop.disks().values())

    assert find(disks, "  S675NX0T512345 \n").path == "/dev/nvme0n1"


def test_a_serial_with_spaces_is_the_one_that_udev_wrote_with_underscores() -> None:
    assert find([replace(DISK, serial="A B  C")], "A_B_C").path == "/dev/sda"


@pytest.mark.parametrize("serial", ["s1", "S", "S11", "", "  ", "None"])
def test_a_serial_that_no_disk_has_is_refused_and_those_there_are_named(serial: str) -> None:
    with pytest.raises(FlashRefusedError, match=r"there is: S1, none \(/dev/sdb\)"):
        find([DISK, replace(DISK, path="/dev/sdb", serial=None)], serial)


def test_no_disk_at_all_is_said() -> None:
    with pytest.raises(FlashRefusedError, match="no disk at all"):
        find([], "S1")


def test_a_serial_that_two_disks_have_is_refused(guest: Captured) -> None:
    with pytest.raises(FlashRefusedError, match="/dev/sdc and /dev/sdd have the same serial"):
        find(list(guest.disks().values()), "MPATH-1")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"serial": "S2"}, "serial was S1"),
        ({"size_bytes": 2**31}, "size was"),
        ({"device_numbers": (8, 16)}, "device number was"),
        ({"sequence": 9}, "medium was None, and is 9"),
    ],
)
def test_another_disk_at_the_same_path_is_a_race(change: dict[str, Any], what: str) -> None:
    now = [replace(DISK, path="/dev/sdb"), replace(DISK, **change)]

    with pytest.raises(FlashRaceError, match=re.escape(what)):
        check_unchanged(DISK, now)


def test_the_same_disk_may_have_got_new_users_and_they_are_what_comes_back() -> None:
    mounted = replace(DISK, in_use=("sda1 is mounted at /mnt",))

    assert check_unchanged(DISK, [mounted]) is mounted
    with pytest.raises(FlashRaceError, match="not there any more"):
        check_unchanged(DISK, [])


# -- what is told ------------------------------------------------------------------------------


def test_the_inventory_of_each_capture_is_one_that_the_server_takes(tmp_path: Path) -> None:
    for name in ("guest", "laptop", "firecracker"):
        disks = list(Captured(tmp_path / name, name).disks().values())

        body = json.loads(inventory(disks, {"id": "x"}))

        assert parse_inventory(body).count == len(disks)
        assert parse_inventory(body).serials == tuple(d.serial for d in disks if d.serial)


def test_hostile_firmware_cannot_spoil_the_inventory() -> None:
    text = st.none() | st.text(max_size=300)

    @given(text, text, text, text)
    def check(serial: str | None, model: str | None, vendor: str | None, tran: str | None) -> None:
        disk = replace(DISK, serial=serial, model=model, vendor=vendor, tran=tran)
        parse_inventory(json.loads(inventory([disk])))

    check()


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0B"),
        (1023, "1023B"),
        (512110190592, "476.9G"),
        (64 * 2**30, "64G"),
        (2000398934016, "1.8T"),
        (1536, "1.5K"),
        (2**70, "1024E"),
    ],
)
def test_a_size_reads_as_lsblk_writes_it(size: int, text: str) -> None:
    assert lsblk_size(size) == text


@pytest.mark.parametrize(
    ("answer", "tree"),
    [
        (None, None),
        (b"", None),
        (b"WARNING", None),
        (b'"text"', None),
        (b'{"id":"x","size":NaN}', {"id": "x", "size": None}),
        (b'[{"id":"x"}]', [{"id": "x"}]),
        (b'{"id":"' + b"x" * 5_000_000 + b'"}', None),
        (b"[" * 100_000, None),
    ],
)
def test_lshw_is_told_when_it_makes_sense(answer: bytes | None, tree: object) -> None:
    assert read_lshw(lambda: answer) == tree


# -- texts -------------------------------------------------------------------------------------


def test_the_rows_of_an_old_lsblk_are_read() -> None:
    text = """{"blockdevices": [
      {"name":"sda","rm":"0","ro":"1","serial":" S1 ","model":"M ","mountpoint":null,
       "children":[{"name":"sda1","ro":"0","fstype":"ext4","label":""}]}]}"""

    found = parse_lsblk(text)

    assert (found["sda"].serial, found["sda"].model, found["sda"].read_only) == ("S1", "M", True)
    assert (found["sda1"].fstype, found["sda1"].label) == ("ext4", None)
    assert not found["sda1"].read_only


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"blockdevices":7}', "[" * 100_000, '{"blockdevices"' + ":[" * 99_999]
)
def test_what_is_no_lsblk_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="lsblk answers"[:5]):
        parse_lsblk(text)


def test_a_mount_has_its_place_with_spaces_and_odd_lines_are_passed_over() -> None:
    text = (
        "36 35 8:2 / /a\\040b\\134c rw master:1 - ext4 /dev/s\\040x rw\n"
        "\nrubbish\n36 35 x:2 / /y rw - ext4 s rw\n36 35 8:2 / /z rw - \n1 2 8:3 / /q\n"
    )

    mounts = parse_mountinfo(text)

    assert [(m.numbers, m.place, m.source) for m in mounts] == [((8, 2), "/a b\\c", "/dev/s x")]


def test_swaps_are_read_past_their_head() -> None:
    assert parse_swaps("Filename Type\n/dev/sda2 partition 1\n/a\\040b file 2\n") == (
        "/dev/sda2",
        "/a b",
    )
    assert parse_swaps("") == ()


def test_a_parameter_of_the_kernel_is_its_last_value() -> None:
    assert parameter("a=1 bty.server=x a=2\n", "a") == "2"
    assert parameter("a", "a") is None


@pytest.mark.parametrize("parse", [parse_mountinfo, parse_swaps])
@given(text=st.text(alphabet=st.sampled_from("0123456789:/- \\ab\n"), max_size=80))
def test_any_text_of_proc_is_read(parse: Callable[[str], object], text: str) -> None:
    parse(text)


def test_a_device_is_known_by_its_numbers_whatever_it_is_called(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        sentence = "NOTHING ABOUT NODES OF DEVICES IS PROVEN HERE: only root can make one"
        warnings.warn(sentence, stacklevel=1)
        pytest.skip(sentence)
    os.mknod(tmp_path / "node", 0o60600, os.makedev(8, 33))

    assert numbers_of_path(str(tmp_path / "node")) == (8, 33)
    assert numbers_of_path(str(tmp_path)) is None
    assert numbers_of_path(str(tmp_path / "none")) is None

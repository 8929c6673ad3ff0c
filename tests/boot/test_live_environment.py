"""Our own live environment and flasher, from power-on to a running disk, in virtual machines."""

from __future__ import annotations

import json
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from bty_app import __version__
from tests.boot import proof_disk
from tests.boot.machine import Machine
from tests.boot.rack import (
    DISK_BYTES,
    HEAD,
    MAC,
    SERIAL,
    STORY_SECONDS,
    Rack,
    image,
    rack,
    to_the_disk,
)
from tests.boot.server import free_port
from tests.boot.ssh import greeting

pytestmark = pytest.mark.boot

OLD = b"an older" * (DISK_BYTES // 8)


def test_the_same_packages_give_the_same_bytes_and_a_key_adds_ssh_and_nothing_else(
    live_set: Path, keyed_set: Path
) -> None:
    plain, keyed = archive_of(live_set), archive_of(keyed_set)

    more = set(keyed) - set(plain)

    assert {"usr/sbin/dropbear", "root/.ssh/authorized_keys"} <= more
    others = {name for name in more if "/lib" not in name} - {"root/.ssh", "usr/sbin/dropbear"}
    assert others == {"root/.ssh/authorized_keys"}
    left = [record for name, record in keyed.items() if name not in more]
    assert left == list(plain.values())
    kernels = [next(place.glob("*.vmlinuz")).read_bytes() for place in (live_set, keyed_set)]
    assert kernels[0] == kernels[1]


def archive_of(place: Path) -> dict[str, tuple[bytes, bytes]]:
    """The records of the initrd in their order: of each the head without its number, and the
    content.
    """
    initrd = next(place.glob("*.initrd"))
    data = subprocess.run(["zstdcat", initrd], capture_output=True, check=True).stdout
    found, at = {}, 0
    while (name := data[at + 110 : data.index(b"\0", at + 110)]) != b"TRAILER!!!":
        head, size = data[at + 14 : at + 110], int(data[at + 54 : at + 62], 16)
        start = -(-(at + 110 + len(name) + 1) // 4) * 4
        found[name.decode()] = (head, data[start : start + size])
        at = -(-(start + size) // 4) * 4
    return found


def test_an_unknown_machine_tells_its_hardware_and_then_boots_its_disk(proof_rack: Rack) -> None:
    box = proof_rack.box()
    with box.disk.open("r+b") as disk:
        disk.write(image())

    log = to_the_disk(box, proof_rack.server)

    assert f"live environment {__version__}" in log
    record = proof_rack.server.machine(MAC)
    [disk_told] = record["known_disks"]
    assert (disk_told["serial"], disk_told["tran"]) == (SERIAL, "virtio")
    assert disk_told["size"] == "96M"
    tree = json.dumps(proof_rack.server.get(f"/machines/{MAC}/lshw.json"))
    assert '"class": "processor"' in tree
    assert MAC in tree
    assert "machine.inventory" in proof_rack.kinds()
    uptime = re.search(r"\[ *(\d+\.\d+)\] reboot: Restarting system", log)
    assert uptime is not None
    print(f"rebooted after its inventory at {uptime[1]} s of uptime")


@dataclass(frozen=True)
class Kind:
    """A disk, an image, and what is set to be done besides; `done` is how that is told."""

    bus: str
    form: str
    wipe: str = "no"
    done: str = ""


@pytest.mark.parametrize(
    "kind",
    [
        Kind("virtio", "img.zst", "auto", "zeros written over every block"),
        Kind("nvme", "img.xz", "secure", "NVMe format, user data erase"),
        Kind("sata", "img.gz"),
    ],
    ids=lambda kind: kind.bus,
)
def test_a_disk_is_flashed_and_wiped_before_if_that_is_set_and_boots(
    pyz: Path, live_set: Path, tmp_path: Path, kind: Kind
) -> None:
    with rack(pyz, live_set, tmp_path, kind.form) as place:
        box = place.box(bus=kind.bus)
        box.disk.write_bytes(OLD)
        place.server.set("flash.wipe", kind.wipe)
        place.server.set("flash.verify", "yes" if kind.done else "no")
        place.order()

        first = to_the_disk(box, place.server)
        downloads = place.mirror.downloads
        later = [to_the_disk(box, place.server) for _ in range(2)]

        kinds = place.kinds()
        assert not any("live environment" in log for log in later)
        assert kinds.count("machine.flashed") == 1
        assert "machine.flash_failed" not in kinds
        written = box.disk.read_bytes()
        assert written[: len(image())] == image()
        assert not any(written[-HEAD:])
        assert place.mirror.downloads == downloads
        left = written[len(image()) : -HEAD]
        extras = (place.event("machine.flashed")["details"] or {}).get("extras", "")
        if kind.done:
            assert not any(left)
            assert kind.done in " ".join(first.split())  # its lines are 80 columns wide
            assert kind.done in extras
            assert "everything was read back and compared" in extras
        else:
            assert left == OLD[len(image()) : -HEAD]
            assert not extras


def test_flash_always_flashes_at_every_power_on(proof_rack: Rack) -> None:
    proof_rack.server.set("boot.grace_seconds", "1")  # else a power-on so soon is the same boot
    box = proof_rack.box()
    proof_rack.order(mode="bty-flash-always")

    for cycle in range(1, 4):
        box.disk.write_bytes(b"\xa5" * DISK_BYTES)
        to_the_disk(box, proof_rack.server)
        assert proof_rack.kinds().count("machine.flashed") == cycle
        assert box.disk.read_bytes()[: len(image())] == image()

    kinds = proof_rack.kinds()
    assert "machine.flash_failed" not in kinds
    assert proof_rack.server.machine(MAC)["boot_mode"] == "bty-flash-always"


def test_an_image_with_another_digest_never_boots_and_the_server_hears_why(
    pyz: Path, live_set: Path, tmp_path: Path
) -> None:
    """As it is: a packed one is found out by its decoder as well, whichever is first."""
    with rack(pyz, live_set, tmp_path, "img") as place:
        box = place.box()
        place.order()
        place.mirror.spoil_next()

        with Machine(box, place.server.port):
            failed = place.event("machine.flash_failed")
            half = box.disk.read_bytes()

    assert "as was promised; the disk does not boot" in json.dumps(failed["details"])
    assert not any(half[:HEAD])


def test_a_power_cut_in_the_middle_leaves_a_disk_that_does_not_boot_and_is_flashed_again(
    proof_rack: Rack,
) -> None:
    box = proof_rack.box()
    proof_rack.order()
    proof_rack.mirror.hold()
    with Machine(box, proof_rack.server.port) as machine:
        machine.wait_for("writing", STORY_SECONDS)
        until = time.monotonic() + 60
        while not any(box.disk.read_bytes()[HEAD : 6 << 20]) and time.monotonic() < until:
            time.sleep(0.5)
    half = box.disk.read_bytes()
    proof_rack.mirror.release()

    to_the_disk(box, proof_rack.server)

    assert any(half[HEAD:])
    assert not any(half[:HEAD])
    assert box.disk.read_bytes()[: len(image())] == image()
    assert proof_rack.kinds().count("machine.flashed") == 1


def test_a_disk_that_was_swapped_is_not_written_to(proof_rack: Rack) -> None:
    box = proof_rack.box(ssh_port=free_port())
    box.disk.write_bytes(b"\xa5" * DISK_BYTES)
    proof_rack.order("ANOTHER-0003")

    with Machine(box, proof_rack.server.port):
        failed = proof_rack.event("machine.flash_failed")
        says_ssh = greeting(box.ssh_port)

    assert says_ssh == b""  # nobody listens: no key was built in
    assert "ANOTHER-0003" in json.dumps(failed["details"])
    assert box.disk.read_bytes() == b"\xa5" * DISK_BYTES


def test_a_server_that_dies_during_the_flash_is_told_when_it_is_back(proof_rack: Rack) -> None:
    box = proof_rack.box()
    proof_rack.order()
    proof_rack.mirror.hold()

    with Machine(box, proof_rack.server.port) as machine:
        machine.wait_for("writing", STORY_SECONDS)
        proof_rack.server.kill()
        proof_rack.mirror.release()
        machine.wait_for("trying again", STORY_SECONDS)
        proof_rack.server.start()
        machine.wait_for(proof_disk.MARKER, STORY_SECONDS)

    assert proof_rack.kinds().count("machine.flashed") == 1


def test_an_archive_that_the_kernel_cut_off_is_said_and_not_run(
    live_set: Path, tmp_path: Path
) -> None:
    """Booted in another way than by our script, half of the memory is all that it gets."""
    kernel, initrd = (next(live_set.glob(f"*.{suffix}")) for suffix in ("vmlinuz", "initrd"))
    how = ["-kernel", str(kernel), "-initrd", str(initrd), "-append", "console=ttyS0"]

    wait_for("too little memory", [*how, "-m", "160"], tmp_path / "serial.log")


def wait_for(words: str, how: list[str], log: Path) -> None:
    """Start a machine in this way, and end it when it has said the words."""
    command = ["qemu-system-x86_64", "-nodefaults", "-accel", "tcg", "-display", "none", "-vga"]
    machine = subprocess.Popen([*command, "none", "-serial", f"file:{log}", *how])
    try:
        until = time.monotonic() + STORY_SECONDS
        while words not in (text := log.read_text("ascii", "replace") if log.exists() else ""):
            assert time.monotonic() < until, text[-3000:]
            time.sleep(0.5)
    finally:
        machine.kill()
        machine.wait()

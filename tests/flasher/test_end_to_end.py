"""The command, the pipeline and our server together: an image onto a disk (here, a file)."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bty_app.cli import flash as command
from bty_app.cli import main as cli
from bty_app.cli.flasher_parts import Machine
from bty_app.config import Config
from bty_app.flasher.disks import Disk
from bty_app.flasher.keys import Keys
from bty_app.store import catalog
from tests.file_host import FileHost, file_host
from tests.serving import ENTRY, MAC, Site, listening

# More than is fetched ahead, so that writing has begun when the digest is known.
IMAGE = os.urandom(24 * 2**20) + bytes(4 * 2**20) + b"end" * 4096
PACKED = gzip.compress(IMAGE, 1)
DISK_BYTES = 32 * 2**20


@pytest.fixture
def host() -> Iterator[FileHost]:
    with file_host() as made:
        made.files["/debian.img.gz"] = PACKED
        yield made


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    path = tmp_path / "disk"
    path.write_bytes(b"\xaa" * DISK_BYTES)
    return Disk(
        path=str(path), size_bytes=DISK_BYTES, serial="S1", model="File", device_numbers=(0, 0)
    )


class Keyboard(Keys):
    """Nobody is there; where a machine would wait, the test ends."""

    def __init__(self) -> None:
        super().__init__(-1)

    def pressed(self, seconds: float) -> bool:
        raise KeyboardInterrupt


def bty(tmp_path: Path, disk: Disk, *words: str) -> int:
    """`bty flash` on a machine with this disk."""
    machine = Machine(
        probe=lambda: [disk],
        keys=Keyboard,
        reboot=lambda: None,
        command_line=tmp_path / "cmdline",
        status=tmp_path / "bty.status",
        marks=(),
    )
    parser = cli._command_parser("bty flash", cli.COMMANDS["flash"])
    command.configure(parser)
    return command.run_on(machine, parser.parse_args(words), Config())


def content(disk: Disk) -> bytes:
    return Path(disk.path).read_bytes()


def bind(server: Site, host: FileHost, digest: str) -> None:
    """The operator orders the machine flashed with the image of the host."""
    entry = replace(ENTRY, src=host.url("/debian.img.gz"), disk_image_sha=digest, format="img.gz")
    server.database.write(lambda tx: catalog.delete(tx, ENTRY.bty_image_ref))
    server.database.write(lambda tx: catalog.insert(tx, entry))
    server.bind("bty-flash-once")
    server.boots()


def test_a_server_has_a_box_flashed(
    server: Site, host: FileHost, disk: Disk, tmp_path: Path
) -> None:
    bind(server, host, hashlib.sha256(PACKED).hexdigest())

    with listening(server.app, tmp_path) as port:
        status = bty(tmp_path, disk, "--server", f"127.0.0.1:{port}", "--mac", MAC, "--verify")

    assert status == 0
    assert content(disk)[: len(IMAGE)] == IMAGE
    assert server.phase() == "done"
    assert server.kinds()[-1] == "machine.flashed"


def test_an_image_of_the_wrong_digest_leaves_a_disk_that_does_not_boot(
    server: Site, host: FileHost, disk: Disk, tmp_path: Path
) -> None:
    bind(server, host, "0" * 64)

    with listening(server.app, tmp_path) as port:
        words = ("--server", f"127.0.0.1:{port}", "--mac", MAC)
        with pytest.raises(KeyboardInterrupt):  # it waits, after the failure is reported
            bty(tmp_path, disk, *words)

    assert content(disk)[:512] == bytes(512)
    (event,) = server.events("machine.flash_failed")
    assert "the disk does not boot" in event["details"]["reason"]
    assert server.phase() == "failed"


def test_a_person_flashes_a_file(disk: Disk, tmp_path: Path) -> None:
    image = tmp_path / "debian.img.gz"
    image.write_bytes(PACKED)

    digest = hashlib.sha256(PACKED).hexdigest()
    assert bty(tmp_path, disk, str(image), disk.path, "--yes", "--sha256", digest) == 0

    assert content(disk)[: len(IMAGE)] == IMAGE

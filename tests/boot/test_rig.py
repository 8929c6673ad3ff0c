"""The rig's own parts that a story could not tell apart from a fault of the server."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path

import pytest

from tests.boot import initramfs, proof_disk
from tests.boot.initramfs import Completion
from tests.boot.kernel import KernelFiles

pytestmark = pytest.mark.boot


def test_the_same_inputs_give_the_same_initramfs(tmp_path: Path, guest_kernel: KernelFiles) -> None:
    first = initramfs.build(tmp_path / "first", guest_kernel, Completion.DONE)
    second = initramfs.build(tmp_path / "second", guest_kernel, Completion.DONE)

    assert first.read_bytes() == second.read_bytes()


def test_a_module_comes_after_those_it_needs(guest_kernel: KernelFiles) -> None:
    order = [module.name for module in guest_kernel.modules(["virtio_net"])]

    assert order.index("virtio_ring") < order.index("virtio") < order.index("virtio_net")
    assert order[-1] == "virtio_net"


def test_another_reader_of_cpio_archives_finds_what_was_packed(
    tmp_path: Path, guest_kernel: KernelFiles
) -> None:
    packed = initramfs.build(tmp_path / "initrd", guest_kernel, Completion.STATUS)

    subprocess.run(
        [initramfs.BUSYBOX, "cpio", "-i", "--quiet", "init", "completion"],
        cwd=tmp_path,
        input=gzip.decompress(packed.read_bytes()),
        check=True,
    )

    assert (tmp_path / "completion").read_text("ascii") == "status"
    assert (tmp_path / "init").stat().st_mode & 0o777 == 0o755


def test_the_proof_image_is_bootable_by_its_first_sector_alone() -> None:
    assert proof_disk.image().startswith(proof_disk.boot_sector())
    assert len(proof_disk.boot_sector()) == proof_disk.SECTOR
    assert len(proof_disk.image()) == proof_disk.IMAGE_SIZE

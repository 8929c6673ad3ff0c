"""What the stories of a booting machine share: the single file, the artifacts, a mirror."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import bty_app
from tests.boot import initramfs, proof_disk
from tests.boot.initramfs import Completion
from tests.boot.kernel import KernelFiles, kernel
from tests.boot.machine import HOST
from tests.boot.mirror import FickleMirror
from tests.boot.rack import Rack, rack
from tests.boot.ssh import make_key

ROOT = Path(__file__).parents[2]

KEY = "key"
BootDir = Callable[[Completion], Path]


@pytest.fixture(scope="session")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The single file: `dist/bty.pyz` if it is as new as its sources, else one built for here."""
    ready = ROOT / "dist" / "bty.pyz"
    sources = [ROOT / "build_zipapp.py", *(ROOT / "bty_app").rglob("*.*")]
    changed = max(path.stat().st_mtime for path in sources if "__pycache__" not in path.parts)
    if ready.is_file() and ready.stat().st_mtime >= changed:
        return ready
    built = tmp_path_factory.mktemp("pyz") / "bty.pyz"
    subprocess.run(
        [sys.executable, "build_zipapp.py", "--native", "host", "--output", built],
        cwd=ROOT,
        check=True,
    )
    return built


@pytest.fixture(scope="session")
def guest_kernel() -> KernelFiles:
    return kernel()


@pytest.fixture
def boot_dir(tmp_path: Path, guest_kernel: KernelFiles) -> BootDir:
    """Makes a set of netboot artifacts under the names of CONTRACT 4.2."""

    def make(completion: Completion) -> Path:
        directory = tmp_path / "boot"
        directory.mkdir()
        stem = f"bty-netboot-pc-x86_64-v{bty_app.__version__}"
        shutil.copyfile(guest_kernel.vmlinuz, directory / f"{stem}.vmlinuz")
        initramfs.build(directory / f"{stem}.initrd", guest_kernel, completion)
        (directory / f"{stem}.squashfs").write_bytes(b"this live environment is all in its initrd")
        return directory

    return make


@pytest.fixture
def mirror() -> Iterator[FickleMirror]:
    """Where the proof image is downloaded from."""
    with FickleMirror(proof_disk.image()) as running:
        yield running


@pytest.fixture
def catalog(tmp_path: Path, mirror: FickleMirror) -> Path:
    """A catalog.toml that names the proof image as the guest reaches it."""
    path = tmp_path / "catalog.toml"
    path.write_text(
        "version = 1\n[[images]]\n"
        'name = "proof"\n'
        f'src = "http://{HOST}:{mirror.port}/proof.img"\n'
        f'sha256 = "{hashlib.sha256(mirror.image).hexdigest()}"\n'
        f"size_bytes = {len(mirror.image)}\n"
        'format = "img"\n',
        "utf-8",
    )
    return path


@pytest.fixture(scope="session")
def live_set(pyz: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `bty live build` makes."""
    place = tmp_path_factory.mktemp("live")
    command = ["python3", "-I", "-S", str(pyz), "live", "build", "--fast"]
    iso = ["--iso", str(place / "live.iso")]
    subprocess.run([*command, "--output", str(place / "set"), *iso], check=True)
    return place / "set"


@pytest.fixture(scope="session")
def arm64_set(pyz: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for another architecture."""
    place = tmp_path_factory.mktemp("arm64")
    command = ["python3", "-I", "-S", str(pyz), "live", "build", "--fast", "--arch", "arm64"]
    subprocess.run([*command, "--output", str(place / "set")], check=True)
    return place / "set"


@pytest.fixture(scope="session")
def keyed_set(pyz: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a key that may log in, which is beside it."""
    place = tmp_path_factory.mktemp("keyed")
    key = ["--ssh-key", str(make_key(place / KEY))]
    command = ["python3", "-I", "-S", str(pyz), "live", "build", "--fast", *key]
    subprocess.run([*command, "--output", str(place / "set")], check=True)
    return place / "set"


@pytest.fixture
def proof_rack(pyz: Path, live_set: Path, tmp_path: Path) -> Iterator[Rack]:
    with rack(pyz, live_set, tmp_path) as found:
        yield found

"""Boot files: what people put there, and the distribution's iPXE where they put none."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bty_app import __version__
from bty_app.domain.artifacts import Found, live_file
from bty_app.errors import InvalidInputError, NotFoundError
from bty_app.services.boot_files import BootFiles


@pytest.fixture
def files(tmp_path: Path) -> BootFiles:
    (tmp_path / "boot").mkdir()
    (tmp_path / "ipxe").mkdir()
    for name in ("ipxe.efi", "undionly.kpxe", "ipxe.iso"):
        (tmp_path / "ipxe" / name).write_bytes(b"packaged")
    (tmp_path / "ipxe" / "snponly.efi").symlink_to("ipxe.efi")
    return BootFiles(tmp_path / "boot", tmp_path / "ipxe")


def content(files: BootFiles, name: str) -> bytes:
    with files.opened(name) as file:
        return file.read()


def test_ipxe_comes_from_the_package_unless_somebody_put_another_one(
    files: BootFiles, tmp_path: Path
) -> None:
    assert content(files, "ipxe.efi") == content(files, "snponly.efi") == b"packaged"
    (tmp_path / "boot" / "ipxe.efi").write_bytes(b"ours")

    assert content(files, "ipxe.efi") == b"ours"


def test_it_is_told_which_boot_programs_there_are_and_from_where(
    files: BootFiles, tmp_path: Path
) -> None:
    (tmp_path / "boot" / "snponly.efi").write_bytes(b"ours")

    found = {program.name: program.place for program in files.programs()}

    assert found == {
        "undionly.kpxe": "package",
        "ipxe.efi": "package",
        "snponly.efi": "boot",
        "ipxe-arm64.efi": None,
        "snponly-arm64.efi": None,
    }


def test_nothing_else_of_the_package_is_served(files: BootFiles) -> None:
    with pytest.raises(NotFoundError):
        files.opened("ipxe.iso")


def test_the_links_of_the_package_are_followed_and_those_of_the_boot_directory_only_within(
    files: BootFiles, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").write_bytes(b"elsewhere")
    (tmp_path / "ipxe" / "ipxe-arm64.efi").symlink_to(tmp_path / "elsewhere")
    assert content(files, "ipxe-arm64.efi") == b"elsewhere"

    (tmp_path / "boot" / "ipxe-arm64.efi").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(InvalidInputError, match="leads out"):
        files.opened("ipxe-arm64.efi")


def test_the_binaries_of_the_real_package_are_found(tmp_path: Path) -> None:
    """Debian's package `ipxe`, which tests/run installs."""
    files = BootFiles(tmp_path, Path("/usr/lib/ipxe"))

    assert content(files, "ipxe.efi")[:2] == b"MZ"
    assert len(content(files, "undionly.kpxe")) > 10_000


def put(directory: Path, version: str) -> None:
    for suffix in ("vmlinuz", "initrd"):
        (directory / live_file(version, suffix)).write_bytes(b"x")


def test_the_live_environment_is_booted_while_its_files_are_there(
    files: BootFiles, tmp_path: Path
) -> None:
    assert files.live().not_ready.startswith("no live environment is installed")
    put(tmp_path / "boot", "1.0")
    assert files.live().version == "1.0"

    (tmp_path / "boot" / live_file("1.0", "initrd")).unlink()

    assert files.live().not_ready.startswith("no live environment is installed")


def test_a_boot_directory_that_is_not_there_is_no_live_environment(tmp_path: Path) -> None:
    assert BootFiles(tmp_path / "none", tmp_path).live().not_ready.startswith("no live")


def test_the_directories_are_read_when_they_have_changed_and_not_at_each_contact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    real = BootFiles.found

    def found(files: BootFiles, arch: str) -> Found:
        read.append(1)
        return real(files, arch)

    monkeypatch.setattr(BootFiles, "found", found)
    (tmp_path / "boot").mkdir()
    put(tmp_path / "boot", "1.0")
    later = BootFiles(tmp_path / "boot", tmp_path, clock=lambda: time.time() + 60)
    at_once = BootFiles(tmp_path / "boot", tmp_path)

    for files, times in ((later, 2), (at_once, 6)):  # each architecture
        read.clear()
        for _ in range(3):
            assert files.live().version == "1.0"
        assert len(read) == times
    put(tmp_path / "boot", __version__)
    assert later.live().version == __version__

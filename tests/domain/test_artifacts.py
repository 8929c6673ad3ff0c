"""Names of boot files, and what is said when they are missing."""

from __future__ import annotations

import pytest

from bty_app.domain.artifacts import live_file, live_versions, why_not_ready


@pytest.mark.parametrize("suffix", ["vmlinuz", "initrd", "squashfs"])
def test_files_are_named_by_the_version_of_the_live_environment(suffix: str) -> None:
    assert live_file("1.2", suffix) == f"bty-netboot-pc-x86_64-v1.2.{suffix}"


def test_versions_are_read_from_the_names_of_kernels_alone() -> None:
    names = [live_file("2.0", "vmlinuz"), live_file("1.0", "vmlinuz"), live_file("3.0", "initrd")]
    hostile = ["bty-netboot-pc-x86_64-v$(x).vmlinuz", "bty-netboot-pc-x86_64-v1\n.vmlinuz", "x"]

    assert live_versions([*names, *hostile]) == ["1.0", "2.0"]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([], "no live environment is installed"),
        (["0.9"], "boot/ has the live environment 0.9, this server boots 1.0"),
        (["0.9", "1.0"], "the live environment 1.0 is not complete"),
    ],
)
def test_the_operator_is_told_what_is_missing(found: list[str], words: str) -> None:
    assert why_not_ready("1.0", found).startswith(words)

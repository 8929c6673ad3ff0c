"""The parts of a live environment: which files, which libraries, which modules, in what archive."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.live import build, cpio, elf, modules, recipe
from bty_app.live.patterns import chosen, lines, matcher
from bty_app.live.tree import Tree

ROOT = Path(__file__).parents[2]


# -- patterns -----------------------------------------------------------------------------------


def test_a_list_has_one_pattern_a_line_and_comments() -> None:
    assert lines("# about\n a/b  # why\n\nc/*\n") == ("a/b", "c/*")


@pytest.mark.parametrize(
    ("pattern", "path", "is_it"),
    [
        ("a/*", "a/b", True),
        ("a/*", "a/b/c", False),
        ("a/**", "a/b/c", True),
        ("a/**/c", "a/c", True),
        ("a/**/c", "a/b/d/c", True),
        ("**/x", "x", True),
        ("a.b", "axb", False),
        ("a/b-*.ko", "a/b-c.ko", True),
    ],
)
def test_a_star_is_of_one_name_and_two_are_of_directories(
    pattern: str, path: str, *, is_it: bool
) -> None:
    assert bool(matcher([pattern]).fullmatch(path)) == is_it


def test_no_pattern_matches_nothing() -> None:
    assert not matcher([]).fullmatch("")


def test_a_pattern_with_a_minus_takes_out_what_those_before_it_brought_in() -> None:
    paths = ["d/a", "d/b", "e/a"]

    assert chosen(paths, ["d/*", "-d/b", "e/*"]) == ["d/a", "e/a"]
    assert chosen(paths, ["-d/b", "d/*"]) == ["d/a", "d/b"]


# -- programs -----------------------------------------------------------------------------------


def test_the_libraries_of_this_interpreter_are_those_that_the_linker_lists() -> None:
    data = Path(sys.executable).resolve().read_bytes()
    told = subprocess.run(
        ["ldd", str(Path(sys.executable).resolve())], capture_output=True, text=True, check=True
    ).stdout

    found = elf.needed(data)

    assert any(name.startswith("libc.so") for name in found)
    assert all(name in told for name in found)


@given(st.binary(max_size=300), st.integers(0, 4000), st.integers(0, 255))
def test_what_is_no_program_needs_nothing(noise: bytes, at: int, value: int) -> None:
    assert elf.needed(noise) == ()
    assert elf.needed(b"\x7fELF\x02\x01" + noise) == ()
    data = bytearray(Path("/bin/true").read_bytes()[:4096])
    data[at % len(data)] = value
    assert isinstance(elf.needed(bytes(data)), tuple)


# -- kernel modules ------------------------------------------------------------------------------


def test_a_module_comes_with_all_that_it_needs_and_the_others_are_not_asked() -> None:
    paths = ["net/a.ko", "net/b-c.ko", "lib/d.ko.xz", "lib/e.ko", "x/f.ko"]
    needed = {"net/a.ko": ["b_c"], "net/b-c.ko": ["d", "builtin"], "lib/d.ko.xz": []}

    found = modules.closure(paths, ["net/a.ko"], needed.__getitem__)

    assert found == ["lib/d.ko.xz", "net/a.ko", "net/b-c.ko"]


def test_modules_that_need_each_other_are_no_endless_search() -> None:
    needed = {"a.ko": ["b"], "b.ko": ["a"]}

    found = modules.closure(["a.ko", "b.ko"], ["a.ko"], needed.__getitem__)

    assert found == ["a.ko", "b.ko"]


def test_what_a_module_needs_stands_in_its_information() -> None:
    data = b"ELF\0name=x\0depends=virtio,virtio-ring\0softdep=pre: crc32c post: y\0vermagic=6\0"

    assert modules.needs(data) == ("virtio", "virtio_ring", "crc32c", "y")
    assert modules.needs(b"\0depends=\0") == ()


def test_each_module_is_packed_by_itself(tmp_path: Path) -> None:
    names = [f"{number}.ko" for number in range(3)]
    for name in names:
        (tmp_path / name).write_bytes(name.encode() * 5000)

    build._zstd_each([str(tmp_path / name) for name in names], "-3")
    build._zstd_each([], "-3")

    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{name}.zst" for name in names]
    for name in names:
        packed = tmp_path / f"{name}.zst"
        assert packed.stat().st_size < 1000
        said = subprocess.run(["zstdcat", packed], capture_output=True, check=True).stdout
        assert said == name.encode() * 5000


# -- the archive ---------------------------------------------------------------------------------


def unpacked(entries: Sequence[cpio.Entry], place: Path) -> None:
    data = b"".join(cpio.archive(entries))
    program = shutil.which("cpio")
    assert program, "the program cpio is missing: tests/run installs it"
    subprocess.run([program, "-idm", "--quiet"], input=data, cwd=place, check=True)


def test_the_archive_is_one_that_cpio_reads(tmp_path: Path) -> None:
    entries = cpio.with_directories(
        [
            cpio.Entry("usr/bin/x", cpio.PROGRAM, b"#!/bin/sh\n"),
            cpio.Entry("bin", cpio.LINK, b"usr/bin"),
            cpio.Entry("empty", cpio.FILE),
            cpio.Entry("ünï", cpio.FILE, b"abc"),
        ]
    )

    unpacked(entries, tmp_path)

    assert (tmp_path / "bin" / "x").read_bytes() == b"#!/bin/sh\n"
    assert (tmp_path / "usr/bin/x").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "empty").read_bytes() == b""
    assert (tmp_path / "ünï").read_bytes() == b"abc"


def test_the_same_entries_are_the_same_bytes_in_whatever_order_they_come() -> None:
    entries = [cpio.Entry("b/c", cpio.FILE, b"1"), cpio.Entry("a", cpio.FILE, b"2")]

    first = b"".join(cpio.archive(cpio.with_directories(entries)))
    second = b"".join(cpio.archive(cpio.with_directories(entries[::-1])))

    assert first == second
    assert [entry.name for entry in cpio.with_directories(entries)] == ["a", "b", "b/c"]


# -- the tree ------------------------------------------------------------------------------------


def test_a_kept_file_brings_the_targets_of_its_links_and_its_libraries(tmp_path: Path) -> None:
    root = tmp_path / "root"
    libraries = root / "usr/lib/x-linux-gnu"
    libraries.mkdir(parents=True)
    (root / "usr/bin").mkdir()
    shutil.copy("/bin/true", root / "usr/bin/real")
    (root / "usr/bin/alias").symlink_to("real")
    (libraries / "libc.so.6").write_bytes(b"library")
    (libraries / "ld-linux-x86-64.so.2").write_bytes(b"loader")
    (libraries / "libother.so").write_bytes(b"")
    (root / "lib").symlink_to("usr/lib")

    kept = Tree(root).kept(["usr/bin/alias"], [])

    assert kept == [
        *("usr/bin/alias", "usr/bin/real"),
        *("usr/lib/x-linux-gnu/ld-linux-x86-64.so.2", "usr/lib/x-linux-gnu/libc.so.6"),
    ]
    assert Tree(root).kept(["usr/bin/*"], ["usr/bin/*"]) == []
    names = {entry.name: entry for entry in Tree(root).entries(kept)}
    assert (names["lib"].mode, names["lib"].data) == (cpio.LINK, b"usr/lib")
    assert names["usr/bin/real"].mode == cpio.PROGRAM


def test_the_recipe_is_the_directory_that_people_read() -> None:
    for path in (ROOT / "container" / "live").iterdir():
        assert recipe.text(path.name) == path.read_text("utf-8")
    assert "python3" in recipe.Recipe("1").packages
    assert "linux-image-arm64" in recipe.Recipe("1", arch="arm64").packages
    assert recipe.Recipe("1").file("initrd") == "bty-netboot-pc-x86_64-v1.initrd"
    assert recipe.Recipe("1", arch="arm64").file("initrd") == "bty-netboot-pc-arm64-v1.initrd"
    assert "dropbear-bin" not in recipe.Recipe("1").packages
    assert "dropbear-bin" in recipe.Recipe("1", ssh_key="ssh-ed25519 AAAA").packages


@pytest.mark.parametrize("name", ["init", "udhcpc"])
def test_the_scripts_are_ones_that_a_shell_reads(name: str) -> None:
    path = ROOT / "container" / "live" / name
    subprocess.run(["busybox", "sh", "-n", str(path)], check=True)


# -- bytecode ------------------------------------------------------------------------------------


def foreign_root(tmp_path: Path, version: str) -> Path:
    """A system of another architecture, whose programs do not run here."""
    root = tmp_path / "root"
    for name in (f"usr/lib/{version}/x.py", "usr/lib/a-linux-gnu/ld-linux-a.so.1"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\x7fELF of nobody\n" if "ld-" in name else b"X = 1\n")
        path.chmod(0o755)
    return root


def test_python_of_another_architecture_is_compiled_by_ours_of_the_same_version(
    tmp_path: Path,
) -> None:
    """Without bytecode the client needs many seconds more to start."""
    ours = f"python{sys.version_info.major}.{sys.version_info.minor}"

    compiled = build._compiled(foreign_root(tmp_path, ours), tmp_path / "scratch")

    assert compiled[f"usr/lib/{ours}/x.py"].startswith(importlib.util.MAGIC_NUMBER)
    assert "usr/lib/bty/client/bty_app/cli/main.py" in compiled


def test_python_of_another_version_goes_in_as_sources(tmp_path: Path) -> None:
    assert build._compiled(foreign_root(tmp_path, "python3.99"), tmp_path / "scratch") == {}

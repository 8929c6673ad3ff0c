"""`build_zipapp.py`: the same bytes each time, all platforms, and plain refusals."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from bty_app.native import choose, unpacked
from tests.pyz import tools

SUFFIXES = [
    f".cpython-3{minor}-{machine}-linux-{libc}.so"
    for minor in (11, 12, 13, 14)
    for machine in ("x86_64", "aarch64")
    for libc in ("gnu", "musl")
]


@pytest.mark.usefixtures("full_pyz")  # fills the cache of wheels
def test_two_builds_of_one_tree_are_the_same_bytes(tmp_path: Path) -> None:
    # Built from copies: an editor at work in the tree makes no difference between the two.
    trees = (tmp_path / "one", tmp_path / "two")
    shutil.copytree(tools.ROOT / "bty_app", tmp_path / "bty_app")
    for tree in trees:
        _copy_build(tree)
        shutil.copytree(tmp_path / "bty_app", tree / "bty_app")
        (tree / "dist").mkdir()
        (tree / "dist" / "wheels").symlink_to(tools.ROOT / "dist" / "wheels")

    built = [tools.run(sys.executable, str(tree / "build_zipapp.py")) for tree in trees]

    assert [done.returncode for done in built] == [0, 0], built
    one, two = ((tree / "dist" / "bty.pyz").read_bytes() for tree in trees)
    assert hashlib.sha256(one).hexdigest() == hashlib.sha256(two).hexdigest()


def test_every_platform_has_the_build_that_the_manifest_names(full_pyz: Path) -> None:
    with zipfile.ZipFile(full_pyz) as archive:
        manifest = json.loads(archive.read("native/manifest.json"))

        bodies = [unpacked(choose(manifest, [suffix]), archive.read) for suffix in SUFFIXES]

    assert sorted(manifest["builds"]) == sorted(SUFFIXES)
    machines = [int.from_bytes(body[18:20], "little") for body in bodies]  # ELF's e_machine
    assert machines == [{"x86_64": 62, "aarch64": 183}[s.split("-")[2]] for s in SUFFIXES]


def test_the_file_holds_our_data_and_the_licences_of_what_it_carries(full_pyz: Path) -> None:
    names = set(zipfile.ZipFile(full_pyz).namelist())

    assert "bty_app/store/schema.sql" in names
    for package in ("apsw", "falcon", "jinja2", "markupsafe", "tomli_w", "urllib3", "waitress"):
        assert any(name.startswith(f"licenses/{package}/") for name in names), package
    assert not [name for name in names if name.endswith((".so", ".pyd")) and "native/" not in name]


def test_a_python_without_pip_is_told_what_to_install(tmp_path: Path) -> None:
    tree = _tree_without_wheels(tmp_path)

    tools.run(tools.PYTHON, "-m", "venv", "--without-pip", str(tmp_path / "venv"))
    python = str(tmp_path / "venv" / "bin" / "python3")

    done = tools.run(python, str(tree / "build_zipapp.py"), "--native", "host")

    assert done.returncode == 78, done.stderr
    assert "has no pip" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_index_out_of_reach_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    tree = _tree_without_wheels(tmp_path)
    nowhere = {"PIP_CONFIG_FILE": "/dev/null", "PIP_INDEX_URL": "http://127.0.0.1:9/simple"}

    done = tools.run(
        sys.executable,
        str(tree / "build_zipapp.py"),
        "--native=host",
        PIP_RETRIES="0",
        PIP_NO_CACHE_DIR="1",
        **nowhere,
    )

    assert done.returncode == 69, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "Check the network" in done.stderr
    assert not (tree / "dist" / "bty.pyz").exists()


def _tree_without_wheels(tmp_path: Path) -> Path:
    return _copy_build(tmp_path / "tree")


def _copy_build(tree: Path) -> Path:
    for file in ("build_zipapp.py", "pyproject.toml", "container/wheels.lock"):
        (tree / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tools.ROOT / file, tree / file)
    return tree

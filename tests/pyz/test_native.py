"""APSW out of the single file: each rung of the ladder, and the line at its end."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path

import pytest

from bty_app.errors import ConfigError
from bty_app.native import Build, choose, new_enough, unpacked
from tests.pyz import tools

LOAD = """
import sys
sys.path.insert(0, {pyz!r})
from bty_app import errors, native
native.install()
assert "apsw" not in sys.modules
try:
    import apsw
except errors.ConfigError as error:
    sys.exit(error.message)
assert apsw.Connection(":memory:").execute("select 6 * 7").get == 42
print(apsw.__file__)
"""
_QUIET = ("-f", "-qq", "-o", "/dev/null", "-e", "trace=memfd_create")
DENY = (*_QUIET, "-e", "inject=memfd_create:error=EPERM")


def _load(pyz: Path, state_dir: Path, *before: str) -> tuple[int, str]:
    program = LOAD.format(pyz=str(pyz))
    done = tools.run(*before, *tools.BARE, "-c", program, BTY_PATHS_STATE_DIR=str(state_dir))
    return done.returncode, done.stdout.strip() or done.stderr.strip()


def test_an_installed_apsw_that_is_new_enough_comes_first(host_pyz: Path, tmp_path: Path) -> None:
    installed = importlib.util.find_spec("apsw")
    assert installed is not None

    done = tools.run(sys.executable, "-c", LOAD.format(pyz=str(host_pyz)))

    assert done.stdout.strip() == installed.origin, done.stderr


def test_an_installed_apsw_that_is_too_old_is_passed_over(host_pyz: Path, tmp_path: Path) -> None:
    (tmp_path / "apsw.py").write_text("raise SystemExit('the old one was loaded')")
    facts = tmp_path / "apsw-3.40.0.0.dist-info" / "METADATA"
    facts.parent.mkdir()
    facts.write_text("Metadata-Version: 2.1\nName: apsw\nVersion: 3.40.0.0\n")

    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n" + LOAD
    done = tools.run(*tools.BARE, "-c", program.format(pyz=str(host_pyz)))

    assert done.stdout.startswith("/proc/self/fd/"), done.stderr


def test_it_loads_from_memory_and_writes_nothing(host_pyz: Path, tmp_path: Path) -> None:
    assert _load(host_pyz, tmp_path / "state")[1].startswith("/proc/self/fd/")

    assert list(tmp_path.iterdir()) == []


def test_the_memory_file_is_sealed(host_pyz: Path) -> None:
    program = LOAD.format(pyz=str(host_pyz)) + (
        "import fcntl\n"
        "number = int(apsw.__file__.rsplit('/', 1)[1])\n"
        "print(fcntl.fcntl(number, fcntl.F_GET_SEALS))\n"
    )

    done = tools.run(*tools.BARE, "-c", program)

    assert done.stdout.split()[-1] == "15", done.stderr  # SEAL, SHRINK, GROW, WRITE


@pytest.mark.system
def test_without_memory_files_it_loads_from_the_state_directory(
    host_pyz: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"

    first = _load(host_pyz, state, tools.need("strace"), *DENY)
    kept = list((state / "native").iterdir())
    kept[0].write_bytes(b"another's")
    second = _load(host_pyz, state, tools.need("strace"), *DENY)

    assert first == second == (0, str(kept[0]))
    assert state.stat().st_mode & 0o777 == (state / "native").stat().st_mode & 0o777 == 0o700
    assert [path.name for path in (state / "native").iterdir()] == [kept[0].name]


@pytest.mark.system
def test_a_link_in_place_of_the_kept_copy_is_not_followed(host_pyz: Path, tmp_path: Path) -> None:
    state, elsewhere = tmp_path / "state", tmp_path / "elsewhere.so"
    name = Path(_load(host_pyz, state, tools.need("strace"), *DENY)[1])
    elsewhere.write_bytes(name.read_bytes())
    name.unlink()
    name.symlink_to(elsewhere)

    assert _load(host_pyz, state, tools.need("strace"), *DENY)[0] == 0

    assert not name.is_symlink()


@pytest.mark.system
def test_a_directory_that_others_can_write_to_is_not_trusted(
    host_pyz: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "native"
    folder.mkdir()
    folder.chmod(0o777)

    status, said = _load(host_pyz, tmp_path, tools.need("strace"), *DENY)

    assert status == 1
    assert "only we can write to" in said


@pytest.mark.system
def test_the_last_rung_is_one_line_with_the_platform_and_the_remedy(
    host_pyz: Path, tmp_path: Path
) -> None:
    (tmp_path / "native").write_text("in the way")

    done = tools.run(
        tools.need("strace"),
        *DENY,
        *tools.BARE,
        str(host_pyz),
        "machine",
        "list",
        BTY_PATHS_STATE_DIR=str(tmp_path),
    )

    assert done.returncode == 78, done.stderr
    assert len(done.stderr.splitlines()) == 1
    for part in (f"cpython-3{sys.version_info[1]}-", "Operation not permitted", "pip install apsw"):
        assert part in done.stderr


def test_a_damaged_build_is_never_loaded() -> None:
    build = Build("native/apsw.so", offset=2, size=4, sha256=hashlib.sha256(b"good").hexdigest())

    assert unpacked(build, lambda _name: b"..good..") == b"good"
    with pytest.raises(ConfigError, match="damaged"):
        unpacked(build, lambda _name: b"..goop..")


def test_a_python_without_a_build_is_told_which_there_are() -> None:
    manifest: dict[str, object] = {"builds": {".cpython-311-x86_64-linux-gnu.so": {}}}

    with pytest.raises(ConfigError, match=r"pypy.*it has cpython-311-x86_64-linux-gnu\)"):
        choose(manifest, [".pypy310-pp73-x86_64-linux-gnu.so"])


@pytest.mark.parametrize(
    ("version", "enough"),
    [("3.51.3.0", True), ("3.51.2.9", False), ("3.54.1.0", True), ("4.0.0", True), ("3.x", False)],
)
def test_the_floor_is_compared_number_by_number(version: str, enough: bool) -> None:
    assert new_enough(version) is enough

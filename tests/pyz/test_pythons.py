"""The released file under every Python that is found here."""

from __future__ import annotations

import ast
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.pyz import tools
from tests.pyz.test_native import LOAD

MINORS = (11, 12, 13, 14)
IMPORTS = "\nimport falcon, jinja2, markupsafe, tomli_w, urllib3, waitress\n"


def _candidates(minor: int) -> list[str]:
    kept = (Path.home() / ".pyenv" / "versions").glob(f"3.{minor}.*/bin/python3")
    return [str(path) for path in sorted(kept)] + [shutil.which(f"python3.{minor}") or ""]


def _works(python: str, minor: int) -> bool:
    if not python:
        return False
    ask = [python, "-c", "import sys; print(sys.version_info[1])"]
    done = subprocess.run(ask, capture_output=True, text=True, check=False)
    return done.stdout.strip() == str(minor)


FOUND = {m: [p for p in _candidates(m) if _works(p, m)] for m in MINORS}
PYTHONS = [pythons[0] for pythons in FOUND.values() if pythons]

OLD = [p for m in (8, 9, 10) for p in _candidates(m) if _works(p, m)][:1]


def test_at_least_one_python_is_tried(capsys: pytest.CaptureFixture[str]) -> None:
    missing = [f"3.{minor}" for minor, pythons in FOUND.items() if not pythons]

    with capsys.disabled():
        print(f"\npyz: tried with {', '.join(PYTHONS)}; not found: {', '.join(missing) or 'none'}")

    assert PYTHONS


@pytest.mark.parametrize("python", PYTHONS)
def test_everything_in_the_file_is_imported(full_pyz: Path, python: str) -> None:
    program = LOAD.format(pyz=str(full_pyz)) + IMPORTS

    loaded = tools.run(python, "-I", "-S", "-c", program)
    version = tools.run(python, "-I", "-S", str(full_pyz), "--version")

    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout.startswith("/proc/self/fd/")
    assert version.stdout.startswith("bty "), version.stderr


def test_bytecode_of_another_python_can_be_added(tmp_path: Path) -> None:
    others = [p for m, pythons in FOUND.items() for p in pythons[:1] if p != tools.PYTHON]
    assert others
    output = tmp_path / "two.pyz"
    built = tools.build(output, "--native", "host", "--python", others[-1])
    assert built.returncode == 0, built.stderr

    done = tools.run(others[-1], "-v", str(output), "--version")

    assert done.returncode == 0, done.stderr
    assert f"{output}/python3" in done.stderr


def test_the_first_line_of_code_is_read_by_old_pythons(host_pyz: Path) -> None:
    source = zipfile.ZipFile(host_pyz).read("__main__.py")

    assert ast.parse(source, feature_version=(3, 6)).body


@pytest.mark.parametrize("python", OLD)
def test_an_old_python_is_refused_in_one_line(host_pyz: Path, python: str) -> None:
    done = tools.run(python, str(host_pyz), "--version")

    assert (done.returncode, len(done.stderr.splitlines())) == (78, 1)
    assert "needs Python 3.11" in done.stderr

"""`pip install .` gives the commands."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bty_app import __version__
from tests.original_state import AT, make_original

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts' directory of an environment with the project in it."""
    folder = tmp_path_factory.mktemp("install")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source / name)
    shutil.copytree(
        ROOT / "bty_app", source / "bty_app", ignore=shutil.ignore_patterns("__pycache__")
    )
    subprocess.run([sys.executable, "-m", "venv", folder / "env"], check=True)
    python = folder / "env" / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "."]
    subprocess.run(pip, check=True, cwd=source)
    return python.parent


@pytest.mark.parametrize("command", ["bty", "bty-web", "bty-lab"])
def test_each_command_says_its_version(installed: Path, command: str) -> None:
    said = subprocess.run(
        [installed / command, "--version"], check=True, capture_output=True, text=True
    )

    assert said.stdout.split()[-1] == __version__


def test_the_guides_own_commands_work(installed: Path, tmp_path: Path) -> None:
    """`bty-web export` on the old server, `bty-web import` on the new one, word for word."""
    old, new, bundle = tmp_path / "old", tmp_path / "new", tmp_path / "bty-bundle"

    def bty_web(state: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [installed / "bty-web", *words],
            env={**os.environ, "BTY_PATHS_STATE_DIR": str(state)},
            capture_output=True,
            text=True,
            check=False,
        )

    refused = bty_web(old, "export", bundle)
    assert refused.returncode == 66  # there is no database yet, and none is made
    assert not old.exists()
    assert not bundle.exists()

    make_original(old, [("52:54:00:12:34:56", None, None, '{"id": "box"}', AT)], "0.65.18")
    exported = bty_web(old, "export", bundle)
    assert exported.returncode == 0, exported.stderr
    imported = bty_web(new, "import", bundle)
    assert imported.returncode == 0, imported.stderr
    assert "1 new" in imported.stdout
    again = bty_web(new, "export", tmp_path / "again")
    assert again.returncode == 0, again.stderr
    first, second = (
        json.loads((path / "inventory.json").read_text())["machines"]
        for path in (bundle, tmp_path / "again")
    )
    assert first == second
    assert first[0]["hw_lshw"] == {"id": "box"}


def test_the_files_of_a_deployment_are_installed_too(installed: Path, tmp_path: Path) -> None:
    command: list[str | Path] = [installed / "bty-lab", "init", "--systemd", tmp_path / "host"]
    subprocess.run(command, check=True, capture_output=True)

    for name in ("compose.yml", "envvars.example", "quadlet/bty.container"):
        assert (tmp_path / "host" / name).exists()

"""`pip install .` gives the commands."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bty_app import __version__

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
    environment = {**os.environ, "BTY_PATHS_STATE_DIR": str(tmp_path / "state")}
    refused = subprocess.run(
        [installed / "bty-web", "export", tmp_path / "bundle"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert refused.returncode == 66  # there is no database yet, and none is made
    assert not (tmp_path / "state").exists()
    assert not (tmp_path / "bundle").exists()


def test_the_files_of_a_deployment_are_installed_too(installed: Path, tmp_path: Path) -> None:
    command: list[str | Path] = [installed / "bty-lab", "init", "--systemd", tmp_path / "host"]
    subprocess.run(command, check=True, capture_output=True)

    for name in ("compose.yml", "envvars.example", "quadlet/bty.container"):
        assert (tmp_path / "host" / name).exists()

"""Programs that the tests of the single file stand on: where they are, or a loud failure."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# The interpreter itself, not a virtual environment's link to it: nothing but Python.
PYTHON = str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info[1]}")
BARE = (PYTHON, "-I", "-S")


def need(tool: str) -> str:
    """The path of `tool`; without it the test fails, since skipping would look like passing."""
    found = shutil.which(tool)
    if found is None:
        pytest.fail(f"{tool} is not installed: start the tests with tests/run, which installs it")
    return found


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `command` with nothing in its environment but what is given."""
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def build(output: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Build the single file at `output` with the interpreter of these tests."""
    command = [sys.executable, str(ROOT / "build_zipapp.py"), "--output", str(output), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)

"""The single file, built once for all tests of this directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pyz import tools


@pytest.fixture(scope="session")
def host_pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quick file: SQLite for the interpreter of these tests alone."""
    output = tmp_path_factory.mktemp("pyz") / "host.pyz"
    built = tools.build(output, "--native", "host")
    assert built.returncode == 0, built.stderr
    return output


@pytest.fixture(scope="session")
def full_pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that is released: SQLite for every platform."""
    output = tmp_path_factory.mktemp("pyz") / "full.pyz"
    built = tools.build(output)
    assert built.returncode == 0, built.stderr
    return output

"""What tests of commands ask for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import in_memory


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory: nearly all of these tests have a database, and none is about its disk."""
    with in_memory() as path:
        yield path

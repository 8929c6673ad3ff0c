"""The single file that this program was started from."""

from __future__ import annotations

import sys
from pathlib import Path


def own_file() -> Path | None:
    """The file, or None where it runs from a tree of files."""
    package = Path(__file__).parents[1]
    found = next((path for path in package.parents if path.is_file()), None)
    started = Path(sys.argv[0])
    if found is None and started.suffix == ".pyz" and started.is_file():
        return started.absolute()
    return found

"""The single file that this program was started from."""

from __future__ import annotations

from pathlib import Path


def own_file() -> Path | None:
    """The file, or None where it runs from a tree of files."""
    package = Path(__file__).parents[1]
    return next((path for path in package.parents if path.is_file()), None)

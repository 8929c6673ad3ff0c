"""A state directory as a server leaves it."""

from __future__ import annotations

from pathlib import Path

from bty_app import __version__
from bty_app.store.creation import build_fresh


def make_state(state_dir: Path, *, version: str = __version__) -> Path:
    """Make `state.db` in `state_dir` with our schema and no rows; return its path."""
    state_dir.mkdir(parents=True, exist_ok=True)
    path = state_dir / "state.db"
    build_fresh(path, version=version, at="2026-11-22T19:07:18.570473+00:00")
    return path

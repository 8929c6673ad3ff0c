"""A state directory as a server leaves it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bty_app import __version__
from bty_app.store import sqlite
from bty_app.store.creation import build_fresh
from bty_app.store.sqlite import Journal

# `BTY_TEST_JOURNAL=delete`: the tests of one place after the other without a write-ahead log.
JOURNAL = Journal(os.environ.get("BTY_TEST_JOURNAL", "wal"))
needs_log = pytest.mark.skipif(JOURNAL is not Journal.WAL, reason="is about a write-ahead log")


def make_state(state_dir: Path, *, version: str = __version__, journal: Journal = JOURNAL) -> Path:
    """Make `state.db` in `state_dir` with our schema and no rows; return its path."""
    state_dir.mkdir(parents=True, exist_ok=True)
    path = state_dir / "state.db"
    build_fresh(path, version=version, at="2026-11-22T19:07:18.570473+00:00")
    sqlite.writable(path, journal).close()
    return path

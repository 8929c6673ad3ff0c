"""An upgrade told to the audit log by a command, cut off and looked at."""

from __future__ import annotations

from pathlib import Path

from bty_app.domain.upgrade_events import Tale
from bty_app.services import upgrade_tale
from bty_app.store import events
from bty_app.store.database import Database
from tests.crashlab import actions, checks

_TALE = Tale(actions.STAMP, "0.91.0", actions.NEW_VERSION, "2026-11-22T19-07-18Z", 90)


def tell(state_dir: Path) -> None:
    """Tell it."""
    upgrade_tale.tell(state_dir, _TALE, lambda: actions.FIRST_START)


def told(state_dir: Path) -> None:
    """It was told once or not at all, and the next one who tells it makes that once."""
    before = _rows(state_dir)
    checks.require(before <= 1, f"{before} rows")
    tell(state_dir)
    tell(state_dir)
    after = _rows(state_dir)
    checks.require(after == 1, f"{after} rows after it was told again")
    checks.acknowledged(state_dir)


def _rows(state_dir: Path) -> int:
    with Database(state_dir / "state.db") as database:
        rows = database.read(lambda tx: list(events.every(tx)))
        checks.require(database.read(events.broken_at) is None, "the chain is broken")
    return sum(row.kind == "system.upgraded" for row in rows)

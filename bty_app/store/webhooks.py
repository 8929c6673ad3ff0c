"""How far each receiver of events has been told."""

from __future__ import annotations

from bty_app.domain.webhooks import Progress
from bty_app.store.database import Tx

_COLUMNS = "cursor, tries, next_at, last_at, last_error, told_at, skipped"


def get(tx: Tx, target: str) -> Progress | None:
    """Of one receiver; None for one that was never told."""
    row = tx.row(f"SELECT {_COLUMNS} FROM webhook_targets WHERE target = ?", target)
    return Progress(*row) if row else None


def put(tx: Tx, target: str, progress: Progress) -> None:
    """Keep how far it is."""
    tx.run(
        f"INSERT OR REPLACE INTO webhook_targets (target, {_COLUMNS})"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        *(target, progress.cursor, progress.tries, progress.next_at, progress.last_at),
        *(progress.last_error, progress.told_at, progress.skipped),
    )


def keep_only(tx: Tx, targets: frozenset[str]) -> None:
    """Forget receivers that are configured no more."""
    for (target,) in list(tx.rows("SELECT target FROM webhook_targets")):
        if target not in targets:
            tx.run("DELETE FROM webhook_targets WHERE target = ?", target)

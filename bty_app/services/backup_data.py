"""A backup as commands and the API show it."""

from __future__ import annotations

from pathlib import Path

from bty_app.domain.backups import Backup
from bty_app.domain.moments import stamp


def backup_data(item: Backup, path: Path) -> dict[str, object]:
    """A backup for scripts."""
    known, marks = item.manifest, item.marks
    return {
        "id": item.id,
        "path": str(path),
        "taken_at": stamp(item.taken_at) if item.taken_at else None,
        "trigger": known.trigger or None,
        "bytes": item.size,
        "machines": known.machines,
        "rows": dict(known.rows),
        "digests": dict(known.digests),
        "is_full": item.is_full,
        "bty_version": known.bty_version or None,
        "database_version": known.database_version or None,
        "instance_id": known.instance_id or None,
        "proven_at": marks.proven_at,
        "checked_at": marks.checked_at,
        "drilled_at": marks.drilled_at,
        "pinned_at": marks.pinned_at,
        "problems": list(marks.problems),
    }

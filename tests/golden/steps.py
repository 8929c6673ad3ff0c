"""What a release does itself for its golden, where it has no command for it. Run in its tree.

Kept to what every release has: `backup_files.write_backup`, the `settings` of its store.
"""

from __future__ import annotations

import hashlib
import sys
from datetime import UTC, datetime
from pathlib import Path

from bty_app import __version__
from bty_app.services.backup_files import BackupPlan, write_backup
from bty_app.store import settings
from bty_app.store.database import Database, Tx

AT = "2026-11-20T02:00:00.000000+00:00"
KEPT = {
    "display.timezone": "Europe/Berlin",
    "backup.retention_count": "5",
    "backup.cadence": "manual",  # the golden is to have one backup: the one that is made below
}


def _settings(state_dir: Path) -> None:
    def change(tx: Tx) -> None:
        for key, value in KEPT.items():
            settings.put(tx, key, value, at=AT)

    with Database(state_dir / "state.db") as database:
        database.write(change)


def _bindings(state_dir: Path) -> None:
    from bty_app.cli.main import main

    ref = hashlib.sha256(b"https://example.com/debian-13.img.zst").hexdigest()
    words = ["--mode", "ipxe-exit", "--image", ref, "--serial", "PHYF0001"]
    labels = ["--label", "rack-3", "--label", "gpu"]
    sys.exit(main(["machine", "set", "02:00:00:00:00:01", *words, *labels]))


def _backup(state_dir: Path) -> None:
    now = datetime(2026, 11, 20, 3, tzinfo=UTC)
    plan = BackupPlan("2026-11-20T03-00-00Z", "scheduled", __version__, now)
    write_backup(state_dir / "state.db", state_dir / "backups", plan)


if __name__ == "__main__":
    steps = {"settings": _settings, "bindings": _bindings, "backup": _backup}
    steps[sys.argv[1]](Path(sys.argv[2]) / "state")

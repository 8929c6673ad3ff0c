"""Publishing a bundle or a backup, as the actions that are cut off."""

from __future__ import annotations

from pathlib import Path

from bty_app.services.backup_files import BackupPlan, write_backup
from bty_app.services.bundles import export_bundle, import_bundle
from tests.crashlab.actions import FIRST_START, NEW_VERSION

GOLDEN = Path(__file__).parents[1] / "data" / "bundles" / "two-machines" / "inventory.json"


def export(state_dir: Path) -> None:
    """Write a bundle where none is."""
    export_bundle(state_dir, state_dir / "out" / "bundle", version=NEW_VERSION, now=FIRST_START)


def export_over(state_dir: Path) -> None:
    """Write a bundle over another."""
    folder = state_dir / "out" / "bundle"
    export_bundle(state_dir, folder, version=NEW_VERSION, now=FIRST_START, force=True)


def take_over(state_dir: Path) -> None:
    """Import two machines."""
    import_bundle(
        state_dir, state_dir / "out" / "two", version=NEW_VERSION, clock=lambda: FIRST_START
    )


def back_up(state_dir: Path) -> None:
    """Write a backup: the bundle, the whole database, checksums."""
    plan = BackupPlan("backup", "manual", NEW_VERSION, FIRST_START)
    write_backup(state_dir / "state.db", state_dir / "out", plan)

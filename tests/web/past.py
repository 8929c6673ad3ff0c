"""What pages about the past need: a backup from before changes, a restore to undo, an archive."""

from __future__ import annotations

import shutil

from bty_app import __version__
from bty_app.domain.machine import BootMode
from bty_app.domain.restoring import Wanted
from bty_app.services.backup_files import BackupPlan, write_backup
from tests import serving
from tests.fleet_state import BEGIN, BY, bind, forget
from tests.web import walk
from tests.web.site import Site


def add_past(made: Site | serving.Site) -> None:
    """The backup and the archive have the names that `walk` knows."""
    state_db = made.database.path
    made.database.write(bind(1, BootMode.FLASH_ALWAYS, labels=["a"]))  # type: ignore[arg-type]
    plan = BackupPlan(walk.BACKUP, "manual", __version__, BEGIN)
    path = write_backup(state_db, state_db.parent / "backups", plan).path
    shutil.copy(path / "state.db", state_db.parent / walk.ARCHIVE)
    made.database.write(lambda tx: tx.run("UPDATE machines SET bty_image_ref = NULL"))
    made.services.restore.apply(path, Wanted(), by=BY)
    made.database.write(lambda tx: tx.run("UPDATE machines SET bty_image_ref = NULL"))
    made.database.write(forget(1))  # type: ignore[arg-type]

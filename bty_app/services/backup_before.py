"""The backup that precedes an upgrade: proven like every other, before anything is archived."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from bty_app.domain.backups import PRE_UPGRADE, Marks, name_of
from bty_app.domain.moments import stamp
from bty_app.errors import BtyError
from bty_app.services.backup_files import BackupPlan, write_backup
from bty_app.services.verify import verify
from bty_app.store.backup_shelf import Shelf
from bty_app.store.hardware import Connection

_WAIT_SECONDS = 10.0


def back_up_before_rotation(
    connection: Connection, backups_dir: Path, *, version: str, now: datetime
) -> str:
    """Take the backup that precedes the archiving of another version's database; return its id.

    It must read back as it was written. What a look at its content finds wrong was wrong in the old
    database already: that is kept with it, and is an alarm, but holds no upgrade up.

    Raises:
        ConflictError: another program keeps on making or removing backups there.
        StorageError: it could not be written; the database is untouched.
    """
    plan = BackupPlan(name_of(now), PRE_UPGRADE, version, now)
    shelf = Shelf(backups_dir)
    with shelf.alone(wait_seconds=_WAIT_SECONDS):
        path = write_backup(connection, backups_dir, plan).path
        with suppress(BtyError):  # it has been read back, whether that can be noted or not
            problems = verify(path).problems

            def looked(known: Marks) -> Marks:
                checked = known.checked_at if problems else stamp(now)
                return replace(known, checked_at=checked, problems=problems)

            shelf.mark(path.name, looked)
    return path.name

"""The audit log is told of an upgrade that is over, by a command beside the server."""

from __future__ import annotations

from pathlib import Path

from bty_app.domain.moments import stamp
from bty_app.domain.upgrade_events import Tale, event_of, subject_of
from bty_app.services import bundles
from bty_app.services.clock import Clock, utc_now
from bty_app.store import any_log, restoration
from bty_app.store.backup_shelf import STATE


def tell(state_dir: Path, tale: Tale, clock: Clock = utc_now) -> bool:
    """Record it, durably; False where it was recorded already. The log may be of another release.

    Raises:
        ConflictError: another program keeps the database to itself.
        StorageError: it cannot be recorded.
    """
    with bundles.reading(state_dir), restoration.writing(state_dir / STATE) as tx:
        at = stamp(clock())
        return any_log.record_once(tx, event_of(tale), subject_of(tale), at=at)

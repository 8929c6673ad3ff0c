"""Which host serves the state, and which one did before."""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path

from bty_app.domain import migration_events
from bty_app.domain.moments import stamp
from bty_app.services.clock import Clock, utc_now
from bty_app.store import events, instance
from bty_app.store.database import Database, Tx

BEFORE = "host_before"
SINCE = "host_since"
_HOST = "host"
_MACHINE_ID = Path("/etc/machine-id")


def this_host(machine_id: Path = _MACHINE_ID) -> str:
    """The name of this host and a part that no two share; empty where there is no such part (a
    container), for the name alone changes with each of them.
    """
    try:
        found = machine_id.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    if not found or found == "uninitialized":
        return ""
    # machine-id(5): not to be told as it is.
    own = hashlib.sha256(f"bty {found}".encode()).hexdigest()[:12]
    return f"{platform.node() or 'unnamed'} ({own})"


def note(database: Database, now_on: str, clock: Clock = utc_now) -> None:
    """Remember that `now_on` serves the state, and which host did so before it.

    Raises:
        MovedError: this appliance has moved.
        StorageError: it cannot be recorded.
    """
    at = stamp(clock())

    def change(tx: Tx) -> None:
        before = instance.get(tx, _HOST)
        if not now_on or before == now_on:
            return
        instance.put(tx, _HOST, now_on)
        if before is not None and _own(before) != _own(now_on):
            instance.put(tx, BEFORE, before)
            instance.put(tx, SINCE, at)
            events.record(tx, migration_events.host_changed(before, now_on), at=at)

    database.write(change)


def _own(text: str) -> str:
    return text.rpartition(" ")[2]

"""The actions that are cut off: ours, and two wrong ones that the laboratory must catch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw

from bty_app.domain.events import Actor, Event, Kind
from bty_app.errors import StorageError
from bty_app.store import creation, events, rotation
from bty_app.store.database import Tx
from bty_app.store.sqlite import translated

NEW_VERSION = "9.9.9"
FIRST_START = datetime(2026, 11, 22, 19, 7, 18, tzinfo=UTC)
NEXT_START = FIRST_START + timedelta(minutes=1)
WRONG_ARCHIVE = "state.db.0.1.0.20261122T190718Z.bak"
STAMP = "2026-11-22T19:07:18.000000+00:00"


def start(state_dir: Path) -> None:
    """What `serve` does first."""
    rotation.open_state(state_dir, version=NEW_VERSION, now=FIRST_START, backup=None)


def rename_and_unlink(state_dir: Path) -> None:
    """WRONG: the rotation as operations guides tell it."""
    with _as_refusal():
        _rename_and_unlink(state_dir / "state.db")


def probe_rename_and_unlink(state_dir: Path) -> None:
    """WRONG in a way that only shows when the disk fails: closing hides a failed checkpoint."""
    state_db = state_dir / "state.db"
    with _as_refusal():
        connection = apsw.Connection(str(state_db))
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        connection.close()
        _rename_and_unlink(state_db)


def _rename_and_unlink(state_db: Path) -> None:
    if not state_db.with_name(WRONG_ARCHIVE).exists():
        state_db.rename(state_db.with_name(WRONG_ARCHIVE))
    for suffix in creation.SIDECARS:
        creation.sidecar(state_db, suffix).unlink(missing_ok=True)
    event = Event(
        Kind.SCHEMA_RESET, Actor.SYSTEM, "rotated", details={"archived_at": WRONG_ARCHIVE}
    )
    creation.create(
        state_db,
        version=NEW_VERSION,
        at=STAMP,
        fill=lambda new: _record(new, event),
    )


def _record(connection: apsw.Connection, event: Event) -> None:
    events.record(Tx(connection), event, at=STAMP)


@contextlib.contextmanager
def _as_refusal() -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        raise translated(error) from error
    except OSError as error:
        raise StorageError(str(error)) from error

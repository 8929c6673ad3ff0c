"""An appliance is marked as moved by hand, and one that has moved serves again."""

from __future__ import annotations

from pathlib import Path

from bty_app.domain import migration_events
from bty_app.domain.migration import Mark
from bty_app.domain.moments import stamp
from bty_app.errors import ConflictError, NotFoundError, UnavailableError
from bty_app.services.audit import record_if_possible
from bty_app.services.clock import Clock, utc_now
from bty_app.store import locks, move_mark
from bty_app.store.backup_shelf import STATE
from bty_app.store.database import Database
from bty_app.upstream.http import Http, Request

_SECONDS = 5.0


def fence(state_dir: Path, to: str, clock: Clock = utc_now) -> None:
    """Mark the appliance of `state_dir` as moved to `to`, without a word with that one.

    Raises:
        NotFoundError: there is no appliance.
        StorageError: the mark cannot be written.
    """
    if not (state_dir / STATE).exists():
        raise NotFoundError(f"{state_dir}: there is no state that could be marked")
    move_mark.put(state_dir, Mark(to, stamp(clock())))


def cancel(state_dir: Path, http: Http, *, anyway: bool, clock: Clock = utc_now) -> Mark:
    """Take the mark away, a server beside this or not; return what it was.

    Raises:
        NotFoundError: this appliance has not moved.
        ConflictError: the one that it moved to answers, and not `anyway`.
    """
    mark = move_mark.get(state_dir)
    if mark is None:
        raise NotFoundError(f"{state_dir}: has not moved: there is nothing to take back")
    if mark.to and not anyway and _answers(http, mark.to):
        raise ConflictError(
            f"{mark.to} answers: two appliances with one state would flash the same machines; stop"
            " that one first, or say --anyway"
        )
    with locks.shared(state_dir), Database(state_dir / STATE) as database:
        move_mark.remove(state_dir)
        event = migration_events.cancelled(mark.to)
        record_if_possible(database, event, at=stamp(clock()))
    return mark


def _answers(http: Http, address: str) -> bool:
    try:
        http.ask(Request(f"{address}/healthz"), limit=4096, seconds=_SECONDS)
    except UnavailableError:
        return False
    return True

"""Checks of where the state is: on another host than before, and replicated to a third."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from bty_app.domain.findings import Finding, Level
from bty_app.domain.migration import State, refusal
from bty_app.domain.replication import SOCKET_FILE
from bty_app.errors import UnavailableError
from bty_app.services import host
from bty_app.services.clock import utc_now
from bty_app.services.premises import Premises
from bty_app.store import events, instance, machines, move_mark
from bty_app.store.database import Database, Tx
from bty_app.upstream import litestream

_AHEAD = timedelta(minutes=5)


def moved(premises: Premises) -> Iterator[Finding]:
    """This appliance serves, and has not moved to another host."""
    mark = move_mark.get(premises.state_dir)
    if mark is not None:
        why = refusal(State.MOVED, mark.to)
        yield Finding(Level.WARNING, why, "use the new one, or run `bty migrate --cancel`")
    elif (premises.state_dir / ".arriving").exists():
        sentence = "a move to this host is not finished"
        yield Finding(Level.FAULT, sentence, "run `bty migrate --from URL` again")


def new_host(premises: Premises) -> Iterator[Finding]:
    """What is left to do where the state was served by another host before."""
    if premises.database is None:
        return
    before, since, seen = premises.database.read(_since)
    if not before or (seen or "") > since:
        return
    yield Finding(
        Level.WARNING,
        f"this state was served by {before} until {since[:16]}, and no machine has asked here yet",
        "point DHCP at this host: docs/how-to/move-to-another-host.md",
    )


def public_url(premises: Premises) -> Iterator[Finding]:
    """The address that machines are given is one of this host."""
    host_name = urlsplit(premises.public_url).hostname
    if not host_name or _is_here(host_name):
        return
    moved_here = premises.database is not None and bool(premises.database.read(_since)[0])
    yield Finding(
        Level.WARNING if moved_here else Level.NOTE,
        f"server.public_url is {premises.public_url}, which is no address of this host",
        "set it to the address under which machines reach this host, or that of its proxy",
    )


def clock(premises: Premises) -> Iterator[Finding]:
    """The clock is not behind what is recorded."""
    backups = premises.backups
    if backups is not None and (why := backups.clock_doubt().sentence):
        remedy = "set the clock (NTP): until then no backup is removed, and the schedule waits"
        yield Finding(Level.FAULT, why, remedy)
        return
    if premises.database is None:
        return
    newest = _newest(premises.database)
    if newest is not None and newest > utc_now() + _AHEAD:
        yield Finding(
            Level.FAULT,
            f"the clock of this host is behind the newest event, of {newest:%Y-%m-%d %H:%M} UTC",
            "set the clock (NTP) before machines are flashed: schedules and order depend on it",
        )


def replication(premises: Premises) -> Iterator[Finding]:
    """Where replication is configured: the replica has everything that is committed."""
    if not premises.replica:
        return
    try:
        number = litestream.sync(premises.state_dir / SOCKET_FILE, premises.state_dir / "state.db")
    except UnavailableError as error:
        remedy = "start Litestream after bty, and read its log: see docs/how-to"
        yield Finding(Level.FAULT, error.message, f"{remedy}/replicate-with-litestream.md")
    else:
        sentence = f"{premises.replica} has everything up to now (transaction {number:,})"
        yield Finding(Level.OK, sentence)


def _since(tx: Tx) -> tuple[str, str, str | None]:
    """The host before this one, since when, and when a machine was last seen."""
    before = instance.get(tx, host.BEFORE) or ""
    return before, instance.get(tx, host.SINCE) or "", machines.last_contact(tx)


def _newest(database: Database) -> datetime | None:
    text = database.read(events.newest_ts)
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:  # a state file that others have written to
        return None


def _is_here(name: str) -> bool:
    """Whether one of the addresses of `name` is of this host: nobody can bind another's."""
    try:
        found = socket.getaddrinfo(name, 0, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return any(_binds(family, place) for family, _type, _proto, _name, place in found)


def _binds(family: int, place: tuple[Any, ...]) -> bool:
    with closing(socket.socket(family, socket.SOCK_STREAM)) as trial:
        try:
            trial.bind(place)
        except OSError:
            return False
    return True

"""Checks of `doctor`: the place for copies of backups."""

from __future__ import annotations

from collections.abc import Iterator

from bty_app.domain.findings import Finding, Level
from bty_app.errors import BtyError, InvalidInputError
from bty_app.services.offsite import Offsite
from bty_app.services.premises import Premises

_MOST = 5


def offsite(premises: Premises) -> Iterator[Finding]:
    """It can be reached, takes the credentials, and has no halves."""
    if isinstance(premises.offsite, BtyError):
        remedy = "put it right: until then, backups wait here"
        yield Finding(Level.FAULT, premises.offsite.message, remedy)
    elif premises.offsite is None:
        remedy = "set offsite.url: a backup on the same disk goes with it"
        yield Finding(Level.NOTE, "backups are not copied elsewhere", remedy)
    else:
        yield from _place(premises.offsite)


def _place(found: Offsite) -> Iterator[Finding]:
    shown = found.place.shown
    try:
        there = found.reading.there()
        abandoned = found.place.abandoned()
    except InvalidInputError as error:
        yield Finding(Level.NOTE, error.message, "use a WebDAV server, or a bucket")
        return
    except BtyError as error:
        remedy = "look at it; backups wait here meanwhile"
        yield Finding(Level.WARNING, f"copies of backups: {error.message}", remedy)
        return
    count = len(there.copies)
    sealed = f", new ones are encrypted with the key {found.key.id}" if found.key else ""
    copies = "copy" if count == 1 else "copies"
    yield Finding(Level.OK, f"{shown} has {count} {copies} of backups{sealed}")
    for name in there.halves[:_MOST]:
        remedy = f"`bty offsite push {name}`, or `bty offsite remove {name}`"
        yield Finding(Level.WARNING, f"{shown} has half a copy: {name}", remedy)
    for name, why in list(there.unreadable.items())[:_MOST]:
        yield Finding(Level.WARNING, f"{shown} has what is no copy: {name}: {why}", "look at it")
    if abandoned:
        sentence = f"{shown} keeps {len(abandoned)} unfinished upload(s), such as {abandoned[0]}"
        remedy = "nothing: the next push goes on with it, or removes it after a week"
        yield Finding(Level.NOTE, sentence, remedy)

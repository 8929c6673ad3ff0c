"""The audit rows of netboot artifacts: fetched, installed, rolled back (CONTRACT 6)."""

from __future__ import annotations

from bty_app.domain.artifact_set import SetFacts
from bty_app.domain.catalog_events import By, plain
from bty_app.domain.events import Actor, Event, Kind, Subject
from bty_app.errors import BtyError


def fetch_requested(tag: str, by: By) -> Event:
    """A fetch was asked for; it runs in the background."""
    return _of(Kind.ARTIFACTS_REQUESTED, tag, by, f"the netboot artifacts {tag} are to be fetched")


def fetch_started(tag: str, source: str) -> Event:
    """A fetch has begun."""
    what = f"the netboot artifacts {tag} are being fetched from {plain(source)}"
    return _of(Kind.ARTIFACTS_STARTED, tag, _SYSTEM, what, repo=plain(source))


def installed(tag: str, facts: SetFacts, by: By, *, again: bool) -> Event:
    """A set was installed, and is what machines boot."""
    what = f"the live environment {facts.version} is installed, from {plain(facts.source)}"
    if again:
        what = f"the live environment {facts.version} was checked, and is whole"
    more: dict[str, object] = {
        "base_url": plain(facts.source),
        "version": facts.version,
        "total_bytes": facts.size_bytes,
        "artifacts": sorted(facts.digests),
        "signed_by": facts.signed_by,
    }
    return _of(Kind.ARTIFACTS_FETCHED, tag, by, what, **more)


def fetch_failed(tag: str, error: BtyError, by: By) -> Event:
    """Nothing was installed: what was there stays."""
    why = plain(error.message)
    what = f"the netboot artifacts {tag} were not installed: {why}"
    return _of(Kind.ARTIFACTS_FAILED, tag, by, what, error=why)


def fetch_cancelled(tag: str, by: By) -> Event:
    """A fetch was ended before it was done; a later one goes on from there."""
    what = f"the fetch of the netboot artifacts {tag} was cancelled"
    return _of(Kind.ARTIFACTS_CANCELLED, tag, by, what, source="operator")


def rolled_back(now: str, before: str, by: By) -> Event:
    """The set before is current again."""
    what = f"machines boot the netboot artifacts {now} again, no more {before}"
    return _of(Kind.ARTIFACTS_ROLLED_BACK, now, by, what, before=before)


def roll_back_failed(now: str, error: BtyError, by: By) -> Event:
    """Machines boot the set `now`, as before."""
    why = plain(error.message)
    what = f"machines go on booting the netboot artifacts {now}: {why}"
    return _of(Kind.ARTIFACTS_ROLL_BACK_FAILED, now, by, what, error=why)


_SYSTEM = By(Actor.SYSTEM, None)


def _of(kind: Kind, tag: str, by: By, what: str, **more: object) -> Event:
    subject = Subject("netboot", plain(tag))
    return Event(kind, by.actor, what, subject, by.ip, {"tag": plain(tag), **more})

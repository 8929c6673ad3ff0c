"""What an upgrade would do, said without doing it."""

from __future__ import annotations

from collections.abc import Sequence

from bty_app.deploy.stack import Release, Stack
from bty_app.deploy.upgrade_steps import LOOK, json_of
from bty_app.domain.upgrading import facts_of, hindrance

_MIB = 1024 * 1024


def planned(stack: Stack, version: str, watch_seconds: float) -> Sequence[str]:
    """What an upgrade to `version` would do, for people; nothing is changed.

    Raises:
        BtyError: it cannot be looked at.
    """
    old = stack.current()
    if old.version == version:
        return [f"bty {version} is installed already: there is nothing to do"]
    changed = stack.changes(version).rstrip()
    return [
        f"bty {old.version} would become {version}:",
        f"  fetch bty {version}; nothing stops",
        *(f"  {line}" for line in _sizes(stack, old)),
        f"  take a backup with bty {old.version}, and rehearse with {version} on it",
        f"  stop bty, install {version}, start it, and wait until it is ready",
        f"  watch it for {watch_seconds:.0f} seconds;"
        f" where it fails, put back {old.version} and its database",
        *([changed] if changed else []),
        "nothing was done",
    ]


def _sizes(stack: Stack, old: Release) -> list[str]:
    """Only a release that is here can say them."""
    done = stack.run(old, LOOK)
    try:
        facts = facts_of(json_of(done)) if done.status == 0 else None
    except ValueError:
        facts = None
    if facts is None:
        return [f"look at the room on the disk (bty {old.version} cannot say it)"]
    return [
        f"the database of {facts.version} has {facts.machines} machines and"
        f" {facts.database_bytes / _MIB:.1f} MiB; {facts.needed_bytes // _MIB + 1} MiB are needed,"
        f" {facts.free_bytes // _MIB} MiB are free",
        *([f"IN THE WAY: {problem}"] if (problem := hindrance(facts)) else []),
    ]

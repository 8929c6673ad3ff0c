"""A backup copied to another disk, cut off: whole there or no copy, and gone on with."""

from __future__ import annotations

from pathlib import Path

from bty_app.domain.jobs import Quiet
from bty_app.domain.offsite import DirectoryTarget
from bty_app.errors import BtyError
from bty_app.services.offsite import Offsite
from bty_app.services.verify import verify_backup
from bty_app.store.copies import Directory
from tests.crashlab import actions, restorations
from tests.crashlab.checks import require

_ID = "then"


def taken(state_dir: Path) -> None:
    """A backup, and an empty place for copies."""
    restorations.changed(state_dir)
    (state_dir / "there").mkdir()


def push(state_dir: Path) -> None:
    """Copy it there."""
    _offsite(state_dir).push(_ID, Quiet())


def pushed(state_dir: Path) -> None:
    """What is listed as a copy is whole; the next push succeeds, and it comes back whole."""
    there = _offsite(state_dir)
    for copy in there.reading.there().copies:
        problems = there.reading.problems(copy, Quiet())
        require(not problems, f"a copy that is none: {problems}")
    try:
        there.push(_ID, Quiet())
    except BtyError as error:
        require(False, f"the next push: {error.message}")
    require(not there.reading.there().halves, "half a copy is left")
    there.reading.fetch(_ID, state_dir / "back", Quiet())
    require(verify_backup(state_dir / "back").problems == (), "what comes back is not whole")
    left = [path.name for path in (state_dir / "there").rglob(".tmp-*")]
    require(not left, f"left behind: {left}")


def _offsite(state_dir: Path) -> Offsite:
    place = Directory(DirectoryTarget(str(state_dir / "there")))
    backups = state_dir / "backups"
    return Offsite(place, backups, keep=0, key=None, clock=lambda: actions.NEXT_START)

"""A backup copied to a server that speaks S3 or WebDAV, cut off where it talks to that.

The servers are other processes. Each run has a folder of its own there, named after its directory.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bty_app.domain.jobs import Quiet
from bty_app.errors import BtyError
from bty_app.services.offsite import Offsite
from bty_app.services.verify import verify_backup
from tests import places
from tests.crashlab import actions, restorations
from tests.crashlab.checks import require
from tests.crashlab.scenarios import Scenario

TALKING = ("connect", "sendto", "recvfrom")
_ID = "then"


@contextmanager
def scenarios() -> Iterator[tuple[Scenario, ...]]:
    """For as long as the two servers run."""
    with ExitStack() as stack:
        folders = [Path(stack.enter_context(TemporaryDirectory(prefix="bty-"))) for _ in range(2)]
        ports = {
            "S3": stack.enter_context(places.s3_server(folders[0])).port,
            "WebDAV": stack.enter_context(places.dav_server(folders[1])).port,
        }
        yield tuple(_scenario(kind, port) for kind, port in ports.items())


def _scenario(kind: str, port: int) -> Scenario:
    def prepare(state_dir: Path) -> None:
        restorations.changed(state_dir)
        (state_dir / "place.json").write_text(json.dumps([kind, port]))

    name = f"copy of a backup elsewhere by {kind}"
    return Scenario(name, "remote:push", prepare, pushed, talks=TALKING)


def push(state_dir: Path) -> None:
    """Copy it there."""
    _offsite(state_dir).push(_ID, Quiet())


def pushed(state_dir: Path) -> None:
    """What is listed there is whole; the next push succeeds, and it comes back whole."""
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


def _offsite(state_dir: Path) -> Offsite:
    kind, port = json.loads((state_dir / "place.json").read_text())
    own = hashlib.sha256(str(state_dir).encode()).hexdigest()[:16]
    place = (
        places.S3(port).bucket(prefix=own)
        if kind == "S3"
        else places.Dav(port, Path()).folder(path=own)
    )
    backups = state_dir / "backups"
    return Offsite(place, backups, keep=0, key=None, clock=lambda: actions.NEXT_START)

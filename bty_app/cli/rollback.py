"""`rollback`: put the database from before an upgrade back, for whatever release it is of."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime

from bty_app import __version__
from bty_app.config import Config
from bty_app.store import going_back
from bty_app.store.going_back import WayBack, WentBack

_EPILOG = """examples:
  bty rollback --dry-run             which database would come back, and what would be left
  bty rollback                       put it back; the server is stopped
  bty rollback --to 0.65.18 --yes    that of this release, whatever was done since

An upgrade archives the database of the release before. This gives the archive its place again: the
one that the newer database tells of, and no other. The newer one is archived in its turn, and
nothing is deleted. Start the older release then: this one would archive its database once more.
Releases of bty from 0.92 on take theirs back by themselves; the original and older ones do not.
Where operators have worked with the newer database, that is counted, and --yes is needed. One that
is damaged is moved to quarantine/ with its logs, and --yes is needed, too; where it cannot tell its
archive, the newest one counts.
Done twice it changes nothing more.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("--to", default="", metavar="VERSION", help="it must be of this release")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument(
        "--yes",
        "--force",
        action="store_true",
        help="also where acts of operators stay behind in the newer database",
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")


def run(args: argparse.Namespace, config: Config) -> int:
    """Go back, or say how; the exit status is 0."""
    place = config.paths.state_dir
    if args.dry_run:
        way = going_back.look(place, args.to, running=__version__)
        _say(args, {"done": False, **asdict(way)}, _shown(way))
        return 0
    done = going_back.go_back(
        place, args.to, running=__version__, now=datetime.now(UTC), anyway=args.yes
    )
    _say(args, _as_data(done), done.sentence)
    return 0


def _as_data(done: WentBack) -> dict[str, object]:
    return {
        "done": not done.way.is_done,
        **asdict(done.way),
        "machines": done.machines,
        "archived_as": done.archived_as,
        "set_aside": done.set_aside,
    }


def _shown(way: WayBack) -> str:
    if way.is_done:
        return f"the database is that of {way.older}: there is nothing to do"
    if way.damage:
        return (
            f"{way.damage}: it would be set aside, and the database of {way.older} would come back"
            f" from {way.archive} (--yes); nothing was done"
        )
    left = f"; {way.acts} acts of operators would stay behind (--yes)" if way.acts else ""
    return (
        f"the database of {way.older} would come back from {way.archive}, in place of that of"
        f" {way.newer}{left}; nothing was done"
    )


def _say(args: argparse.Namespace, data: dict[str, object], sentence: str) -> None:
    sys.stdout.write(json.dumps(data) + "\n" if args.json else f"{sentence}\n")

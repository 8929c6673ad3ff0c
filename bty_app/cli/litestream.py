"""`litestream`: configure Litestream for this state; ask whether its replica is fresh."""

from __future__ import annotations

import argparse
import json
import sys

from bty_app.config import Config
from bty_app.domain.replication import SOCKET_FILE, Replica, check_target, configuration
from bty_app.services import journal_choice
from bty_app.upstream import litestream

_EPILOG = """examples:
  bty litestream config --to file:///srv/replica > litestream.yml
  BTY_LITESTREAM_URL=s3://bucket/bty bty litestream config > litestream.yml
  litestream replicate -no-expand-env -config litestream.yml
  bty litestream check                 is everything that is committed at the replica?

Start Litestream after the server answers, and stop it first: see the how-to. Credentials stand in
the environment of Litestream (LITESTREAM_ACCESS_KEY_ID, LITESTREAM_SECRET_ACCESS_KEY), never in
the file. Where litestream.url is configured, `bty doctor` checks the same.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EPILOG
    acts = parser.add_subparsers(dest="act", required=True, metavar="config|check")
    writing = acts.add_parser("config", help="print litestream.yml")
    writing.add_argument("--to", metavar="URL", help="the replica, in place of litestream.url")
    checking = acts.add_parser("check", help="have it replicate what is committed; 69: it cannot")
    checking.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace, config: Config) -> int:
    """Do one act; the exit status is 0."""
    place = config.paths.state_dir.absolute()
    journal_choice.check(config.tuning.journal, with_litestream=True)
    if args.act == "config":
        url = config.litestream.url if args.to is None else check_target(args.to)
        sys.stdout.write(configuration(Replica(url, config.litestream.endpoint), str(place)))
        return 0
    number = litestream.sync(place / SOCKET_FILE, place / "state.db")
    told = json.dumps({"transaction": number}) if args.json else f"up to date: transaction {number}"
    sys.stdout.write(f"{told}\n")
    return 0

"""`webhook`: the receivers of events."""

from __future__ import annotations

import argparse
import sys

from bty_app.cli.reach import webhooks as reach
from bty_app.config import Config

_EPILOG = """examples:
  bty settings set webhook.targets '*failed https://example.com/hook'
  bty webhook test               send a test to each, from this host; 1 when one did not arrive
  bty webhook list               how far each is

The key that signs messages is in the file webhook-secret in the state directory.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EPILOG
    acts = parser.add_subparsers(dest="act", required=True, metavar="list|test")
    acts.add_parser("list", help="each receiver, and the last that is known of it")
    acts.add_parser("test", help="send a test to each receiver")


def run(args: argparse.Namespace, config: Config) -> int:
    """Do one act; the exit status is 1 when a test did not arrive."""
    with reach.webhooks(args, config) as webhooks:
        if args.act == "list":
            rows = webhooks.every()
            for row in rows:
                shown, kinds = row["target"], ",".join(row["kinds"])
                how = row["error"] or "ok"
                sys.stdout.write(f"{shown}  {kinds}  {how}  {row['waiting']} waiting\n")
        else:
            rows = webhooks.test()
            for row in rows:
                sys.stdout.write(f"{row['target']}: {row['error'] or 'it has arrived'}\n")
        if not rows:
            sys.stderr.write("nobody is told of events: set webhook.targets\n")
    return 1 if args.act == "test" and any(row["error"] for row in rows) else 0

"""`webhook`: the receivers of events."""

from __future__ import annotations

import argparse
import sys

from bty_app import runtime_parts
from bty_app.cli.live_state import live_database
from bty_app.config import Config
from bty_app.services.revisions import Revisions

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
    with live_database(config.paths.state_dir) as database:
        settings = runtime_parts.settings_of(config, database, Revisions())
        webhooks = runtime_parts.webhooks(config, database, settings)
        if not webhooks.targets():
            sys.stderr.write("nobody is told of events: set webhook.targets\n")
            return 0
        if args.act == "list":
            for state in webhooks.state():
                how = (state.progress and state.progress.last_error) or "ok"
                shown, kinds = state.target.shown, ",".join(state.target.kinds)
                sys.stdout.write(f"{shown}  {kinds}  {how}  {state.waiting} waiting\n")
            return 0
        tested = webhooks.test()
    for target, error in tested:
        sys.stdout.write(f"{target.shown}: {error or 'it has arrived'}\n")
    return 1 if any(error for _target, error in tested) else 0

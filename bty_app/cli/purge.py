"""`purge`: take a deployment off this host; the state stays unless it is asked for by name."""

from __future__ import annotations

import argparse
import os
import sys

from bty_app.cli import deploying
from bty_app.config import Config
from bty_app.deploy import opening
from bty_app.deploy.purging import Purge
from bty_app.errors import BtyError

_EPILOG = """examples:
  bty purge --dry-run --all /srv/bty   what would go
  bty purge /srv/bty                   stop it, remove containers and units; deploy undoes it
  bty purge --images /srv/bty          the images too
  bty purge --data /srv/bty            the state too: machines, backups, the cache
  bty purge --all --yes /srv/bty       the state and the files of DIR, without a question
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EPILOG
    deploying.add_directory(parser)
    parser.add_argument("--data", action="store_true", help="remove the state as well")
    parser.add_argument("--images", action="store_true", help="remove the images as well")
    parser.add_argument(
        "--all", action="store_true", help="remove the state and the files of the directory as well"
    )
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    deploying.add_dry_run(parser)


def run(args: argparse.Namespace, _config: Config) -> int:
    """Show what will be done, ask, do it; the exit status is 0, or 1 when the answer was no."""
    purge = Purge(
        stack=opening.open_stack(args.directory, deploying.programs(args)),
        data=args.data,
        images=args.images,
        everything=args.all,
        user=os.geteuid(),
    )
    lines = purge.lines()
    if args.dry_run:
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        return 0
    deploying.say("\n".join(lines))
    if not args.yes and not _agreed():
        deploying.say("nothing was changed")
        return 1
    with opening.held(args.directory):
        left = purge.carry_out()
    if left:
        named = ", ".join(str(path) for path in left)
        deploying.say(f"left in place, as it is not of bty: {named}")
    sys.stdout.write(f"purged: {args.directory}\n")
    return 0


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise BtyError("there is no terminal to ask at: say --yes; nothing was changed")
    sys.stderr.write("Go on? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}

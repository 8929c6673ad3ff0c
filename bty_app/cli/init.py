"""`init`: write the files of a deployment into a directory, and nothing else."""

from __future__ import annotations

import argparse
import sys

from bty_app.cli import deploying
from bty_app.config import Config
from bty_app.deploy import files, opening, writing
from bty_app.deploy.choices import check_place
from bty_app.deploy.deploying import planned
from bty_app.deploy.generations import kept

_EPILOG = """examples:
  bty init /srv/bty                    compose.yml, envvars.example, README.md
  bty init --systemd /srv/bty          and Quadlet units
  bty init --print                     compose.yml to standard output alone
  bty deploy /srv/bty                  goes on from there

A file that is there and is another than would be written is shown as a difference and left as it
is (exit status 1), unless --force is given.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EPILOG
    deploying.add_directory(parser)
    deploying.add_choices(parser)
    parser.add_argument(
        "--print", action="store_true", help="print compose.yml, and write nothing at all"
    )
    parser.add_argument("-f", "--force", action="store_true", help="write over other files")
    deploying.add_dry_run(parser)


def run(args: argparse.Namespace, _config: Config) -> int:
    """Write them; the exit status is 0."""
    told = {**kept(args.directory), **deploying.choices(args)}
    plan = planned(args.directory, told, None)
    if args.print:
        sys.stdout.write(files.compose(plan.choices, args.directory))
        return 0
    if plan.choices.systemd:
        check_place(args.directory)
    wanted = writing.changes(args.directory, files.initial(plan.choices, args.directory, told))
    if args.dry_run:
        sys.stdout.write(writing.difference(wanted))
        return 0
    if not args.force:
        sys.stderr.write(writing.difference(c for c in wanted if c.before is not None))
        writing.refuse(wanted, ours_too=True)
    writing.write(wanted)
    written = {change.path for change in wanted}
    for file in files.initial(plan.choices, args.directory, told):
        path = args.directory / file.name
        sys.stdout.write(f"{'written' if path in written else 'unchanged'}: {path}\n")
    if opening.envvars_of(args.directory) is None:
        deploying.say(f"bty deploy {args.directory} fills in envvars and brings it up")
    return 0

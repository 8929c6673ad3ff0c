"""`backup`: the bundle and the whole database, from one moment, read back before it counts."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import AbstractContextManager
from pathlib import Path

from bty_app.cli import elsewhere
from bty_app.cli.reach import backups as reach
from bty_app.cli.reach.backups import BackupReach, Data
from bty_app.cli.telling import Terminal
from bty_app.config import Config
from bty_app.domain.backups import MANUAL, PRE_UPGRADE, SCHEDULED
from bty_app.domain.jobs import Teller
from bty_app.domain.rotation import counted

WAIT_SECONDS = 600.0
_EPILOG = """examples:
  bty backup                    into the configured directory of backups
  bty backup /srv/backups       into another one, as /srv/backups/2026-05-24T08-00-00Z/
  bty backup --no-state         the bundle alone: hardware identity without the rest
  bty backups list              what there is
  bty verify /var/lib/bty/backups/2026-05-24T08-00-00Z

A backup holds the bundle that `bty export` writes, a copy of the whole database of the same moment,
a manifest and SHA-256 sums. It is made beside a running server, and appears under its name when all
of it is on the disk. Then it is read back and compared; what does not agree is said, and the exit
status is 74. Another backup under way is waited for, up to ten minutes, and standard error says for
which; then, or at once with --no-wait, the exit status is 75. ^C ends it, and nothing of it is
left. Backups that the settings do not keep are removed afterwards; `bty settings` has their rules
under backup.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "directory",
        nargs="?",
        type=Path,
        metavar="DIR",
        help="the directory of backups (paths.backup_dir)",
    )
    parser.add_argument(
        "--no-state", action="store_true", help="leave the database out: the bundle alone"
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument(
        "--no-wait", action="store_true", help="where another backup is under way, do not wait"
    )
    # For the server, which runs this command as its child.
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--id", default="", help=argparse.SUPPRESS)
    parser.add_argument(
        "--trigger",
        choices=(MANUAL, SCHEDULED, PRE_UPGRADE),  # the last one is said by `upgrade`
        default=MANUAL,
        help=argparse.SUPPRESS,
    )


def run(args: argparse.Namespace, config: Config) -> int:
    """Make the backup and say what is in it; the exit status is 0."""
    if args.child:
        return _for_the_server(args, config)
    if args.directory and (url := elsewhere.chosen(args)):
        raise elsewhere.HereOnlyError(
            f"{url} keeps its backups where it is configured: leave {args.directory} out, and copy"
            " one by GET /api/v1/backups/NAME/archive.tar"
        )
    wait = 0.0 if args.no_wait else WAIT_SECONDS
    terminal = Terminal()
    try:
        with _backups(args, config) as backups:
            done = backups.create(
                terminal, bundle_alone=args.no_state, wait_seconds=wait, trigger=args.trigger
            )
    finally:
        terminal.done()
    for reason in done["skipped"]:
        sys.stderr.write(f"left out of the bundle: {reason}\n")
    sys.stdout.write(json.dumps(done) + "\n" if args.json else _as_text(done))
    return 0


def _backups(args: argparse.Namespace, config: Config) -> AbstractContextManager[BackupReach]:
    if not args.directory:
        return reach.backups(args, config)
    from bty_app.cli.here import backups as here

    return here.opened(config, args.directory)


def _for_the_server(args: argparse.Namespace, config: Config) -> int:
    """The other end of `services/own_program.py`."""
    from bty_app.cli.child import as_child
    from bty_app.cli.here import backups as here
    from bty_app.services.backups import Order

    order = Order(
        args.trigger,
        args.id,
        include_state=False if args.no_state else None,
        wait_seconds=0.0 if args.no_wait else WAIT_SECONDS,
    )

    def made(teller: Teller) -> dict[str, object]:
        with here.opened(config, args.directory) as backups:
            return backups.ordered(order, teller)

    return as_child(made)


def _as_text(done: Data) -> str:
    machines = counted(done["machines"] or 0)
    pruned = f"; removed: {', '.join(done['pruned'])}" if done["pruned"] else ""
    return f"{done['path']}: {machines}, {done['bytes']:,} bytes, read back{pruned}\n"

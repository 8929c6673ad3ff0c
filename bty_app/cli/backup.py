"""`backup`: the bundle and the whole database, from one moment, read back before it counts."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bty_app.cli.backup_parts import backups_of
from bty_app.cli.child import as_child
from bty_app.cli.telling import Terminal
from bty_app.config import Config
from bty_app.domain.backups import MANUAL, SCHEDULED
from bty_app.domain.jobs import Teller
from bty_app.domain.rotation import counted
from bty_app.services.backup_data import backup_data
from bty_app.services.backups import Created, Order

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
        "--trigger", choices=(MANUAL, SCHEDULED), default=MANUAL, help=argparse.SUPPRESS
    )


def run(args: argparse.Namespace, config: Config) -> int:
    """Make the backup and say what is in it; the exit status is 0."""
    order = Order(
        args.trigger,
        args.id,
        include_state=False if args.no_state else None,
        wait_seconds=0.0 if args.no_wait else WAIT_SECONDS,
    )

    def made(teller: Teller) -> Created:
        with backups_of(config, args.directory) as backups:
            return backups.create(order, teller)

    if args.child:
        return as_child(lambda teller: _as_data(made(teller)))
    terminal = Terminal()
    try:
        done = made(terminal)
    finally:
        terminal.done()
    for reason in done.skipped:
        sys.stderr.write(f"left out of the bundle: {reason}\n")
    sys.stdout.write(json.dumps(_as_data(done)) + "\n" if args.json else _as_text(done))
    return 0


def _as_data(done: Created) -> dict[str, object]:
    more = {"skipped": list(done.skipped), "pruned": list(done.pruned), "is_new": done.is_new}
    return backup_data(done.backup, done.path) | more


def _as_text(done: Created) -> str:
    machines = counted(done.backup.manifest.machines or 0)
    pruned = f"; removed: {', '.join(done.pruned)}" if done.pruned else ""
    return f"{done.path}: {machines}, {done.backup.size:,} bytes, read back{pruned}\n"

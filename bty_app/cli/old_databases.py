"""`recover --list` and `--remove`: the archives that upgrades have left."""

from __future__ import annotations

import argparse
import json
import sys

from bty_app.cli.live_state import live_database
from bty_app.cli.tables import table
from bty_app.config import Config
from bty_app.domain.catalog_events import By
from bty_app.domain.events import Actor
from bty_app.logs import one_line
from bty_app.services.old_databases import OldDatabase, OldDatabases
from bty_app.services.recover import Recover


def run(args: argparse.Namespace, config: Config, recover: Recover) -> int:
    """List them, or remove those that are named; the exit status is 0."""
    with live_database(config.paths.state_dir) as database:
        old = OldDatabases(recover, database)
        if args.list:
            _tell(old.listed(), as_json=args.json)
        elif args.yes and not args.dry_run:
            _tell(old.remove(args.remove, By(Actor.OPERATOR, None)), as_json=args.json)
            sys.stderr.write("removed\n")
        else:
            _tell(old.chosen(args.remove), as_json=args.json)
            sys.stderr.write("nothing was removed: --yes does it, and cannot be undone\n")
    return 0


def _tell(rows: list[OldDatabase], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps([row.as_data() for row in rows], indent=2) + "\n")
    elif rows:
        head = ("archive", "release", "bytes", "bindings")
        sys.stdout.write(table([head, *map(_line, rows)]))
        total = sum(row.size for row in rows)
        sys.stderr.write(f"{len(rows)} old databases, {total:,} bytes\n")
    else:
        sys.stdout.write("there is no old database\n")


def _line(row: OldDatabase) -> tuple[str, ...]:
    waiting = "cannot be read" if row.waiting is None else str(row.waiting)
    return row.name, one_line(row.version), str(row.size), waiting

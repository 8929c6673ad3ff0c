"""`export`: the hardware identity of all machines, as a bundle."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bty_app import __version__
from bty_app.config import Config
from bty_app.services.bundles import Exported, export_bundle
from bty_app.services.clock import utc_now

_EPILOG = """examples:
  bty export /srv/bundle            write /srv/bundle/inventory.json
  bty export --force /srv/bundle    again, in place of the bundle there
  bty import /srv/bundle            on the other host

The bundle holds each machine's MAC, disks and lshw tree with their times; images, labels, settings
and history stay. It is safe beside a running server and never changes the database, which may be of
any version. The bundle appears whole or not at all.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("directory", type=Path, metavar="DIR", help="where to write the bundle")
    parser.add_argument(
        "--force", action="store_true", help="replace the bundle that is in DIR already"
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")


def run(args: argparse.Namespace, config: Config) -> int:
    """Write the bundle and say what is in it; the exit status is 0."""
    done = export_bundle(
        config.paths.state_dir,
        args.directory,
        version=__version__,
        now=utc_now(),
        force=args.force,
    )
    for reason in done.skipped:
        sys.stderr.write(f"left out: {reason}\n")
    sys.stdout.write(_as_json(done) if args.json else _as_text(done))
    return 0


def _as_text(done: Exported) -> str:
    noun = "machine" if done.machines == 1 else "machines"
    return f"bty → {done.destination}: {done.machines} {noun}\n"


def _as_json(done: Exported) -> str:
    shown = {
        "destination": str(done.destination),
        "machines": done.machines,
        "bytes": done.size,
        "database_version": done.database_version,
        "skipped": list(done.skipped),
    }
    return json.dumps(shown) + "\n"

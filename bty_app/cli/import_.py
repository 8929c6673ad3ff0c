"""`import`: the machines of a bundle, ours or the original's."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from bty_app import __version__
from bty_app.config import Config
from bty_app.logs import one_line
from bty_app.services.bundles import Imported, import_bundle
from bty_app.services.clock import utc_now
from bty_app.state_dir import prepare_state_dir

_EPILOG = """examples:
  bty import --dry-run /srv/bundle          what would change
  bty import /srv/bundle                    take the machines over
  bty import --reset-existing /srv/bundle   also forget the bindings of those that are here

DIR holds an inventory.json of version 3. New machines arrive in mode bty-inventory and unbound.
Machines that are here keep binding, mode and labels and get the newer hardware record. A machine
that breaks a rule is rejected and said on stderr; the others go in, in one transaction. A bundle
that is damaged as a whole changes nothing. It is safe beside a running server. Where there is no
database yet, a fresh one is made.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "source", type=Path, metavar="DIR", help="the bundle: its directory, or the file itself"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would change, and stop")
    parser.add_argument(
        "--reset-existing",
        action="store_true",
        help="machines that are here lose binding, mode, labels and history of flashes, as the "
        "original does it",
    )
    parser.add_argument(
        "--force", action="store_true", help="accepted for scripts: an import asks nothing"
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")


def run(args: argparse.Namespace, config: Config) -> int:
    """Import and report; the exit status is 0 also when single machines were rejected."""
    if not args.dry_run:
        note = prepare_state_dir(config.paths.state_dir)
        if note:
            sys.stderr.write(f"{note}\n")
    done = import_bundle(
        config.paths.state_dir,
        args.source,
        version=__version__,
        clock=utc_now,
        dry_run=args.dry_run,
        reset_existing=args.reset_existing,
    )
    _tell_rejected(done)
    sys.stdout.write(_as_json(done) if args.json else _as_text(done))
    return 0


def _tell_rejected(done: Imported) -> None:
    for reason in done.reasons:
        sys.stderr.write(f"rejected: {one_line(reason)}\n")
    more = done.rejected - len(done.reasons)
    if more:
        sys.stderr.write(f"rejected: {more} more\n")


def _as_text(done: Imported) -> str:
    verb = "would import" if done.dry_run else "imported"
    parts = [f"{done.new} new"]
    if done.reset:
        parts.append(f"{done.reset} reset ({done.reset_bound} of them bound to an image)")
    else:
        parts += [f"{done.updated} updated", f"{done.unchanged} unchanged"]
    parts.append(f"{done.rejected} rejected")
    new = "; new machines arrive as bty-inventory" if done.new else ""
    return f"{verb}: {', '.join(parts)}{new}\n"


def _as_json(done: Imported) -> str:
    return json.dumps(dataclasses.asdict(done)) + "\n"

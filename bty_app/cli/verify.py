"""`verify`: is a bundle, a backup, an archive or the live database whole?"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bty_app import __version__
from bty_app.config import Config
from bty_app.domain.rotation import counted
from bty_app.logs import one_line
from bty_app.services.verify import Verdict, verify, verify_live

_EPILOG = """examples:
  bty verify                                      the live database
  bty verify /srv/bundle                          a bundle
  bty verify /var/lib/bty/backups/2026-05-24*     backups
  bty verify state.db.0.65.18.20260524T080000Z.bak

Looked at: the digests of a backup; every machine of a bundle; every page, reference and JSON
column of a database, and the chain of its audit log. Nothing is changed. What is wrong is said,
one line each, and the exit status is then 1. An archive may be on a read-only medium.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "paths", nargs="*", type=Path, metavar="PATH", help="what to look at (the live database)"
    )
    parser.add_argument("--json", action="store_true", help="print the findings as a JSON list")


def run(args: argparse.Namespace, config: Config) -> int:
    """Look at each path; the exit status is 0 when all of them are sound, and 1 otherwise."""
    verdicts = [verify(path) for path in args.paths] or [
        verify_live(config.paths.state_dir, version=__version__)
    ]
    if args.json:
        sys.stdout.write(json.dumps([_as_json(verdict) for verdict in verdicts]) + "\n")
    else:
        sys.stdout.writelines(_as_text(verdict) for verdict in verdicts)
    return 0 if all(verdict.sound for verdict in verdicts) else 1


def _as_text(verdict: Verdict) -> str:
    about = f"{verdict.kind}, version {verdict.version or 'unknown'}, {counted(verdict.machines)}"
    if verdict.sound:
        return f"{verdict.path}: sound ({about})\n"
    return "".join(f"{verdict.path}: {one_line(problem)}\n" for problem in verdict.problems)


def _as_json(verdict: Verdict) -> dict[str, object]:
    return {
        "path": str(verdict.path),
        "kind": verdict.kind,
        "version": verdict.version,
        "machines": verdict.machines,
        "sound": verdict.sound,
        "problems": list(verdict.problems),
    }

"""`verify`: is a bundle, a backup, an archive or the live database whole?"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bty_app import __version__
from bty_app.cli.backup_parts import looked_through
from bty_app.cli.child import as_child
from bty_app.cli.telling import Terminal
from bty_app.config import Config
from bty_app.domain.jobs import Step, Teller
from bty_app.domain.rotation import counted
from bty_app.errors import InvalidInputError
from bty_app.logs import one_line
from bty_app.services.verify import Verdict, verify, verify_live
from bty_app.store.backup_shelf import Shelf

_EPILOG = """examples:
  bty verify                                      the live database
  bty verify /srv/bundle                          a bundle
  bty verify /var/lib/bty/backups/2026-05-24*     backups
  bty verify --drill /var/lib/bty/backups/2026-05-24T08-00-00Z
  bty verify state.db.0.65.18.20260524T080000Z.bak

Looked at: the digests of a backup; every machine of a bundle; every page, reference and JSON
column of a database, and the chain of its audit log. Nothing is changed. What is wrong is said,
one line each, and the exit status is then 1. An archive may be on a read-only medium.

--drill restores a backup into a directory of its own under the state directory, starts the
application on it, asks that for its health and the plan of a machine, and exports it again: the
export has to be the bundle of the backup. Of a backup of another release the first start of this
one is rehearsed there as well: no machine's hardware may be lost. Of a backup in the configured
directory of backups, what was found is kept with it.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "paths", nargs="*", type=Path, metavar="PATH", help="what to look at (the live database)"
    )
    parser.add_argument(
        "--drill", action="store_true", help="restore backups for a trial, and compare"
    )
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)  # see `backup`
    parser.add_argument("--json", action="store_true", help="print the findings as a JSON list")


def run(args: argparse.Namespace, config: Config) -> int:
    """Look at each path; the exit status is 0 when all of them are sound, and 1 otherwise."""
    if args.drill and not args.paths:
        raise InvalidInputError("verify --drill: say which backup")
    if args.child:
        return as_child(lambda teller: _for_the_server(args, config, teller))
    verdicts = [_looked_at(path, args, config, Terminal()) for path in args.paths] or [
        verify_live(config.paths.state_dir, version=__version__)
    ]
    if args.json:
        sys.stdout.write(json.dumps([_as_json(verdict) for verdict in verdicts]) + "\n")
    else:
        sys.stdout.writelines(_as_text(verdict) for verdict in verdicts)
    return 0 if all(verdict.sound for verdict in verdicts) else 1


def _looked_at(path: Path, args: argparse.Namespace, config: Config, teller: Teller) -> Verdict:
    path = path.absolute()
    is_ours = path.parent == config.paths.backup_dir and path.is_dir()
    if not is_ours or not (config.paths.state_dir / "state.db").exists():
        return _drilled(path, config, teller)[0] if args.drill else verify(path)
    with looked_through(config) as (backups, _problem):
        if not args.drill:
            return backups.check(path.name)
        verdict, facts = _drilled(path, config, teller)
        backups.drilled(path.name, verdict.problems, facts)
        return verdict


def _drilled(path: Path, config: Config, teller: Teller) -> tuple[Verdict, str]:
    from bty_app.cli.drilling import drill  # it alone needs the application

    found = drill(path, config, teller)
    known = Shelf(path.parent).find(path.name).manifest
    version, machines = known.database_version or None, known.machines or 0
    return Verdict(path, "drill", version, machines, found.problems), found.facts


def _for_the_server(args: argparse.Namespace, config: Config, teller: Teller) -> dict[str, object]:
    teller.tell(Step("reading the backup"))
    verdict = _looked_at(args.paths[0], args, config, teller)
    return {"problems": list(verdict.problems), "facts": _about(verdict)}


def _about(verdict: Verdict) -> str:
    about = f"{verdict.kind}, version {verdict.version or 'unknown'}, {counted(verdict.machines)}"
    return f"{about}; {one_line(verdict.compared)}" if verdict.compared else about


def _as_text(verdict: Verdict) -> str:
    if verdict.sound:
        notes = "".join(f"{verdict.path}: note: {one_line(note)}\n" for note in verdict.notes)
        return f"{notes}{verdict.path}: sound ({_about(verdict)})\n"
    return "".join(f"{verdict.path}: {one_line(problem)}\n" for problem in verdict.problems)


def _as_json(verdict: Verdict) -> dict[str, object]:
    return {
        "path": str(verdict.path),
        "kind": verdict.kind,
        "version": verdict.version,
        "machines": verdict.machines,
        "sound": verdict.sound,
        "problems": list(verdict.problems),
        "notes": list(verdict.notes),
        "compared": verdict.compared or None,
    }

"""`restore`: put a backup back, shown first."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bty_app import __version__
from bty_app.cli.changes import told_changes
from bty_app.config import Config
from bty_app.domain.catalog_events import By
from bty_app.domain.events import Actor
from bty_app.domain.mac import parse_mac
from bty_app.domain.restoring import Counts, Effect, Wanted, WayBack
from bty_app.domain.rotation import counted
from bty_app.errors import InvalidInputError
from bty_app.services.restore import Page, Preview, Restore, Restored
from bty_app.services.restore_sources import backup_path
from bty_app.state_dir import prepare_state_dir

_EPILOG = """examples:
  bty restore /var/lib/bty/backups/2026-05-24T08-00-00Z          what would change
  bty restore --yes /var/lib/bty/backups/2026-05-24T08-00-00Z    put it back
  bty restore 2026-05-24T08-00-00Z --yes                         by its name
  bty restore --only 52:54:00:12:34:56 BACKUP --yes              one machine of it
  bty restore --undo --yes                                       take that back

PATH is a backup directory, the name of one (`bty backups list`), or a database file (.db, .bak) of
this version. It is copied and looked at in full before anything is shown. Machines, labels,
catalog and settings become as they were then. The audit log goes on, and sessions and API tokens
stay as they are now: what was revoked stays revoked. A machine that would be flashed, and is not
waiting for that flash now, comes back as bty-inventory with its image and disk. A backup of the
present state is taken first. It is safe beside a running server. A database that cannot be read,
or none, is no hindrance: stop the server.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("path", nargs="?", type=Path, metavar="PATH", help="what to put back")
    parser.add_argument("--undo", action="store_true", help="take the last restore back")
    parser.add_argument(
        "--only",
        action="extend",
        nargs="+",
        default=[],
        metavar="MAC",
        help="these machines, and nothing else",
    )
    parser.add_argument(
        "--keep-boot-modes",
        action="store_true",
        help="machines that the backup would have flashed come back armed",
    )
    parser.add_argument(
        "--with-tokens",
        action="store_true",
        help="API tokens come back that are in the backup and not here",
    )
    parser.add_argument("--yes", action="store_true", help="do it; without this it is only shown")
    parser.add_argument("--dry-run", action="store_true", help="only show it, as without --yes")
    parser.add_argument(
        "--rows", type=int, default=40, metavar="N", help="show so many rows that differ (40)"
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")


def run(args: argparse.Namespace, config: Config) -> int:
    """Show, or do, or undo; the exit status is 0."""
    if (args.path is None) != args.undo:
        raise InvalidInputError("name what to put back, or say --undo: one of the two")
    note = prepare_state_dir(config.paths.state_dir)
    if note:
        sys.stderr.write(f"{note}\n")
    restore = Restore(config.paths.state_dir, config.paths.backup_dir, version=__version__)
    wanted = Wanted(
        tuple(sorted({parse_mac(text) for text in args.only})),
        keep_boot_modes=args.keep_boot_modes,
        with_tokens=args.with_tokens,
    )
    page = Page(limit=max(0, args.rows))
    path = args.path and _named(args.path, config.paths.backup_dir)
    shown = restore.preview_undo(page) if args.undo else restore.preview(path, wanted, page)
    if args.dry_run or not args.yes:
        sys.stdout.write(_shown_json(shown) if args.json else _shown_text(shown))
        return 0
    by, digest = By(Actor.OPERATOR, None), shown.effect.digest
    done = (
        restore.undo(by=by, digest=digest)
        if args.undo
        else restore.apply(path, wanted, by=by, digest=digest)
    )
    sys.stdout.write(_done_json(done) if args.json else _done_text(done))
    return 0


def _named(path: Path, backups_dir: Path) -> Path:
    """What is there, or else the backup of this name, as `bty backups list` has it."""
    if len(path.parts) != 1 or path.exists():
        return path
    return backup_path(backups_dir, path.name)


def _shown_text(shown: Preview) -> str:
    made = f", made {shown.created_at}" if shown.created_at else ""
    lines = [f"{shown.name}{made}"]
    if shown.problem:
        lines.append(
            f"now:         {shown.problem}: it is set aside, and the backup takes its place"
        )
    lines += _tables(shown.effect)
    lines += told_changes(shown.rows)
    hidden = shown.found - sum(row.table == "machines" for row in shown.rows)
    if hidden > 0:
        lines.append(f"  and {counted(hidden)} more: --rows N shows them")
    lines += _consequences(shown.effect)
    lines.append("nothing was done: --yes does it")
    return "\n".join(lines) + "\n"


def _tables(effect: Effect) -> list[str]:
    return [f"{name + ':':17}{_counted(counts)}" for name, counts in effect.tables.items()]


def _counted(counts: Counts) -> str:
    parts = [f"{number} {what}" for what, number in counts.as_data().items() if number]
    return ", ".join(parts) or "as they are"


def _consequences(effect: Effect) -> list[str]:
    lines = []
    if effect.armed:
        lines.append(f"{counted(effect.armed)} will be flashed at the next network boot")
    if effect.disarmed:
        lines.append(
            f"{counted(effect.disarmed)} that the backup would have flashed will come back disarmed"
            " (--keep-boot-modes arms them)"
        )
    if effect.events_since:
        lines.append(f"audit log: {effect.events_since} events since the backup stay")
    if effect.foreign_events:
        lines.append(
            f"audit log: {effect.foreign_events} events of the backup are not in this one and stay"
            " there (bty recover --history appends them)"
        )
    if effect.tokens_left:
        lines.append(f"API tokens: {effect.tokens_left} do not come back (--with-tokens)")
    return lines


def _done_text(done: Restored) -> str:
    lines = [f"{done.name} was put back", *_tables(done.effect)]
    if done.effect.disarmed:
        lines.append(f"{counted(done.effect.disarmed)} came back disarmed")
    if done.way_back.backup_id:
        lines.append(f"the state before is the backup {done.way_back.backup_id}:"
                     " bty restore --undo --yes")  # fmt: skip
    if done.way_back.evidence:
        lines.append(f"the database that could not be read is in {done.way_back.evidence}")
    return "\n".join(lines) + "\n"


def _shown_json(shown: Preview) -> str:
    found = {
        "done": False,
        "name": shown.name,
        "created_at": shown.created_at,
        "problem": shown.problem or None,
        **shown.effect.as_data(),
        "rows": [row.as_data() for row in shown.rows],
    }
    return json.dumps(found) + "\n"


def _done_json(done: Restored) -> str:
    found = {"done": True, "name": done.name, **_way_back(done.way_back), **done.effect.as_data()}
    return json.dumps(found) + "\n"


def _way_back(way_back: WayBack) -> dict[str, object]:
    return {"undo": way_back.backup_id, "evidence": way_back.evidence}

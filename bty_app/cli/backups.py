"""`backups`: list, show, pin and remove what `backup` and the schedule have made."""

from __future__ import annotations

import argparse
import json
import sys

from bty_app.cli.reach import backups as reach
from bty_app.cli.reach.backups import BackupReach, Data
from bty_app.cli.tables import table
from bty_app.config import Config
from bty_app.domain.backups import TRIGGERS

_EPILOG = """examples:
  bty backups list                          what there is, what proves it, and why each one stays
  bty backups show 2026-05-24T08-00-00Z
  bty backups pin 2026-05-24T08-00-00Z      keep it, whatever retention says
  bty backups unpin 2026-05-24T08-00-00Z
  bty backups remove 2026-05-24T08-00-00Z   for good
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EPILOG
    acts = parser.add_subparsers(dest="act", metavar="list|show|pin|unpin|remove", required=True)
    listing = acts.add_parser("list", help="all backups, the newest first")
    named = [
        acts.add_parser("show", help="one backup"),
        acts.add_parser("pin", help="keep one whatever retention says"),
        acts.add_parser("unpin", help="let retention have its say again"),
        acts.add_parser("remove", help="remove one for good"),
    ]
    for act in named:
        act.add_argument("id", help="its name, as `list` shows it")
    for act in (listing, *named):
        act.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace, config: Config) -> int:
    """Do one act; the exit status is 0."""
    with reach.backups(args, config) as backups:
        match args.act:
            case "list":
                _list(backups, as_json=args.json)
                return 0
            case "pin" | "unpin":
                data = backups.pin(args.id, is_pinned=args.act == "pin")
                said = f"{args.id} is {'' if args.act == 'pin' else 'not '}pinned"
            case "remove":
                data = backups.remove(args.id)
                said = f"{args.id} is removed: {data['bytes']:,} bytes"
            case _:
                data, said = backups.find(args.id), ""
    if args.json:
        sys.stdout.write(json.dumps(data) + "\n")
    else:
        sys.stdout.write(f"{said}\n" if said else _shown(dict(data)))
    return 0


def _list(backups: BackupReach, *, as_json: bool) -> None:
    rows = backups.every()
    if as_json:
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
    elif rows:
        head = ("backup", "trigger", "MiB", "machines", "proven", "kept because it is")
        sys.stdout.write(table([head, *map(_row, rows)]))
    else:
        sys.stderr.write(f"no backup in {backups.place}: `bty backup` makes one\n")


def _row(row: Data) -> tuple[str, ...]:
    return (
        row["id"],
        TRIGGERS.get(row["trigger"], row["trigger"] or "-"),
        f"{row['bytes'] / 2**20:.1f}",
        "-" if row["machines"] is None else str(row["machines"]),
        "DAMAGED" if row["problems"] else (row["proven_at"] or "never")[:16],
        row["reason"] if row["stays"] else f"(goes next: {row['reason']})",
    )


def _shown(data: dict[str, object]) -> str:
    rows = data.pop("rows")
    problems = data.pop("problems")
    lines = [(name, "-" if value is None else str(value)) for name, value in data.items()]
    if isinstance(rows, dict):
        lines += [(f"rows of {name}", f"{count:,}") for name, count in rows.items()]
    if isinstance(problems, list):
        lines += [("PROBLEM", str(problem)) for problem in problems]
    return table(lines)

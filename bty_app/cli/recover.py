"""`recover`: carry over what an old database still holds, shown first."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bty_app import __version__
from bty_app.cli import old_databases
from bty_app.cli.changes import told_changes
from bty_app.cli.child import as_child
from bty_app.cli.telling import Terminal
from bty_app.config import Config
from bty_app.domain.catalog_events import By
from bty_app.domain.events import Actor
from bty_app.domain.jobs import Teller
from bty_app.domain.mac import parse_mac
from bty_app.domain.recovering import Choice, Part
from bty_app.domain.rotation import counted, is_archive_name
from bty_app.errors import ValidationError
from bty_app.logs import one_line
from bty_app.services.recover import Offer, Reading, Recover
from bty_app.state_dir import prepare_state_dir

_EPILOG = """examples:
  bty recover state.db.0.91.0.20261122T190718Z.bak                     what is in it
  bty recover --bindings --labels --yes state.db.0.91.0.20261122T190718Z.bak
  bty recover --all --only 52:54:00:12:34:56 --yes OLD.bak             all of one machine
  bty recover --list                                                   which there are
  bty recover --remove state.db.0.58.0.20250122T190718Z.bak --yes      for good
  bty recover --salvage --all /var/lib/bty/quarantine/20261122T190718Z/state.db

FILE is a database of any version, ours or the original's; a plain name is looked for in the state
directory. It is copied, and never written to. What is here stays where the two differ, and is said;
--prefer-archive takes the archive's word. A machine that was waiting for a flash comes over as
bty-inventory, with its image and disk. --salvage reads on behind what is damaged, and says what is
lost; where no list of tables is left it looks for rows by their shape. All in one transaction, safe
beside a running server, and doing it twice changes nothing more.
"""
_HELP = {
    Part.HARDWARE: "disks and lshw of each machine; the newer record wins",
    Part.LABELS: "labels",
    Part.BINDINGS: "boot mode, image, target disk, drive",
    Part.CATALOG: "images of the catalog",
    Part.SETTINGS: "settings that this release knows",
    Part.HISTORY: "events: appended to the audit log, acknowledged",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "file", type=Path, metavar="FILE", nargs="?", help="the old database, or a backup"
    )
    parser.add_argument(
        "--list", action="store_true", help="list the archives of the state directory"
    )
    parser.add_argument(
        "--remove",
        action="extend",
        nargs="+",
        default=[],
        metavar="NAME",
        help="remove these archives; without --yes only show what would be lost",
    )
    for part, text in _HELP.items():
        parser.add_argument(f"--{part.value}", action="store_true", help=text)
    parser.add_argument("--all", action="store_true", help="all of that")
    parser.add_argument(
        "--only", action="extend", nargs="+", default=[], metavar="MAC", help="of these machines"
    )
    parser.add_argument(
        "--keep-boot-modes",
        action="store_true",
        help="machines that were waiting for a flash wait for it here",
    )
    parser.add_argument(
        "--prefer-archive", action="store_true", help="replace what is here and differs"
    )
    parser.add_argument(
        "--salvage", action="store_true", help="read what is readable of a damaged file"
    )
    parser.add_argument("--yes", action="store_true", help="do it; without this it is only shown")
    parser.add_argument("--dry-run", action="store_true", help="only show it, as without --yes")
    parser.add_argument("--rows", type=int, default=40, metavar="N", help="show so many rows (40)")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    # For the server, which runs this command as its child.
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--digest", default=None, help=argparse.SUPPRESS)
    parser.add_argument("--ip", default=None, help=argparse.SUPPRESS)


def run(args: argparse.Namespace, config: Config) -> int:
    """Show, or do; the exit status is 0."""
    note = prepare_state_dir(config.paths.state_dir)
    if note:
        sys.stderr.write(f"{note}\n")
    recover = Recover(config.paths.state_dir, version=__version__)
    if args.list or args.remove:
        return old_databases.run(args, config, recover)
    if args.file is None:
        raise ValidationError("name the old database, or --list what there is")
    path: Path = args.file
    if not path.exists() and is_archive_name(str(path)):
        path = config.paths.state_dir / path
    picked = frozenset(part for part in Part if getattr(args, part.value) or args.all)
    choice = Choice(
        picked or frozenset(Part),
        tuple(sorted({parse_mac(text) for text in args.only})),
        keep_boot_modes=args.keep_boot_modes,
        prefer_archive=args.prefer_archive,
    )
    is_done = bool(picked and args.yes and not args.dry_run)

    def made(teller: Teller) -> Offer:
        reading = Reading(args.salvage, limit=max(0, args.rows), teller=teller)
        if not is_done:
            return recover.preview(path, choice, reading)
        by = By(Actor.OPERATOR, args.ip)
        return recover.apply(path, choice, reading, by=by, digest=args.digest)

    if args.child:
        return as_child(lambda parent: as_json(made(parent), done=is_done))
    terminal = Terminal()
    try:
        offer = made(terminal)
    finally:
        terminal.done()
    if args.json:
        sys.stdout.write(json.dumps(as_json(offer, done=is_done)) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in _lines(offer, is_done, bool(picked)))
    return 0


def as_json(offer: Offer, *, done: bool) -> dict[str, object]:
    """What was found, and what becomes of it."""
    return {
        "done": done,
        **offer.as_data(),
        "there": {part.value: count for part, count in offer.findings.counts.items()},
        "found": offer.found,
        "reasons": offer.findings.reasons,
        "losses": [loss.as_data() for loss in offer.findings.losses],
        "by_shape": offer.findings.by_shape,
    }


def _lines(offer: Offer, is_done: bool, is_picked: bool) -> list[str]:
    lines = [f"{offer.name}: a database of {one_line(offer.findings.version)}"]
    for part, row in offer.counts.items():
        parts = [f"{number} {what}" for what, number in row.as_data().items() if number]
        lines.append(f"{part.value + ':':10}{', '.join(parts) or 'nothing'}")
    if not is_done:
        lines += told_changes(offer.rows)
        if offer.found > len(offer.rows):
            lines.append(f"  and {offer.found - len(offer.rows)} more: --rows N shows them")
    if offer.disarmed:
        verb = "came" if is_done else "will come"
        lines.append(
            f"{counted(offer.disarmed)} that waited for a flash there {verb} over disarmed"
        )
    if offer.without_image:
        lines.append(f"{offer.without_image} bindings are to images that the catalog does not have")
    lines += [f"rejected: {one_line(reason)}" for reason in offer.findings.reasons]
    if offer.findings.by_shape:
        lines.append(offer.findings.by_shape)
    for loss in offer.findings.losses:
        lost = f", lost: {', '.join(loss.named[:20])}" if loss.named else ""
        unread = "" if offer.findings.by_shape else f", {loss.unread} row ids unreadable"
        lines.append(
            f"salvaged {loss.table}: {loss.read} rows whole, {loss.partial} in part{unread}"
            f"{one_line(lost)}"
        )
    if not is_done:
        how = (
            "--yes does it" if is_picked else "pick with --bindings, --labels … or --all, and --yes"
        )
        lines.append(f"nothing was done: {how}")
    return lines

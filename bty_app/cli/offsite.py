"""`offsite`: copies of backups elsewhere."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bty_app import runtime_offsite
from bty_app.cli import offsite_key
from bty_app.cli.tables import table
from bty_app.cli.telling import Terminal
from bty_app.config import Config
from bty_app.domain.moments import stamp
from bty_app.domain.offsite import Copy
from bty_app.errors import ConfigError, NotFoundError
from bty_app.logs import one_line
from bty_app.runtime_parts import outgoing
from bty_app.services.offsite import Offsite
from bty_app.services.offsite_read import There

_EPILOG = """examples:
  bty offsite push                              copy every backup that is missing there
  bty offsite push 2026-11-22T03-00-00Z         copy this one
  bty offsite list
  bty offsite check                             reachable, and nothing left over?
  bty offsite check 2026-11-22T03-00-00Z        read all of it, and compare
  bty offsite fetch 2026-11-22T03-00-00Z /srv/back
  bty verify /srv/back                          is it whole? then restore it, or: bty import
  bty offsite remove 2026-10-01T03-00-00Z
  bty offsite key create /etc/bty/offsite.key   encrypt copies from now on

offsite.url says where, offsite.user and offsite.password_file who asks. A copy counts when all of
it is there and was compared; a push that was cut off is gone on with by the next. fetch needs no
database: it works on a new host.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EPILOG
    names = "push|list|fetch|check|remove|key"
    acts = parser.add_subparsers(dest="act", required=True, metavar=names)
    pushing = acts.add_parser("push", help="copy backups there")
    pushing.add_argument(
        "ids", nargs="*", metavar="ID", help="which; without: all that are missing"
    )
    pushing.add_argument(
        "--no-prune", action="store_true", help="remove no old copies there afterwards"
    )
    listing = acts.add_parser("list", help="the copies that are there")
    listing.add_argument("--json", action="store_true", help="print JSON")
    fetching = acts.add_parser("fetch", help="bring a copy back as the directory of a backup")
    fetching.add_argument("id", metavar="ID", help="which")
    fetching.add_argument("directory", type=Path, metavar="DIR", help="where; it must not be there")
    checking = acts.add_parser("check", help="look at the place, or read copies and compare")
    checking.add_argument("ids", nargs="*", metavar="ID", help="which copies to read")
    checking.add_argument("--all", action="store_true", help="read every copy")
    removing = acts.add_parser("remove", help="remove a copy there, or half of one")
    removing.add_argument("id", metavar="ID", help="which")
    keys = acts.add_parser("key", help="make, check and type in the key of encrypted copies")
    offsite_key.configure(keys)


def run(args: argparse.Namespace, config: Config) -> int:
    """Do one act; the exit status is 1 where a check found something wrong."""
    if args.act == "key":
        return offsite_key.run(args)
    offsite = runtime_offsite.offsite(config, outgoing())
    if offsite is None:
        raise ConfigError("no place for copies is configured: set offsite.url (BTY_OFFSITE_URL)")
    teller = Terminal()
    try:
        match args.act:
            case "push":
                _push(offsite, args.ids, teller, prune=not args.no_prune)
            case "list":
                _list(offsite.reading.there(), as_json=args.json)
            case "fetch":
                copy = offsite.reading.fetch(args.id, args.directory, teller)
                teller.done()
                sys.stdout.write(f"{args.directory}\n")
                _say(f"{copy.backup_id} is in {args.directory}, each file with its digest")
            case "remove":
                offsite.remove(args.id)
                _say(f"{args.id} was removed from {offsite.place.shown}")
            case _:
                return _check(offsite, args.ids, teller, every=args.all)
    finally:
        teller.done()
    return 0


def _push(offsite: Offsite, ids: list[str], teller: Terminal, *, prune: bool) -> None:
    wanted = ids or offsite.missing(offsite.there())
    instance_id = ""
    for backup_id in wanted:
        copy, is_new = offsite.push(backup_id, teller)
        teller.done()
        said = f"{copy.size} bytes" if is_new else "it was there already"
        _say(f"{backup_id} is at {offsite.place.shown}: {said}")
        instance_id = copy.instance_id
    if offsite.place.note:
        _say(offsite.place.note)
    if not wanted:
        _say(f"every backup is at {offsite.place.shown} already")
    elif prune and offsite.keep:
        for gone in offsite.prune(instance_id, teller):
            teller.done()
            _say(f"{gone} was removed there: the newest {offsite.keep} of the schedule stay")


def _list(there: There, *, as_json: bool) -> None:
    if as_json:
        told = [_as_data(copy) for copy in there.copies]
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    elif there.copies:
        head = ("id", "taken", "why", "bytes", "key")
        sys.stdout.write(table([head, *map(_row, there.copies)]))
    else:
        sys.stdout.write("there is no copy\n")
    _say_leftovers(there)


def _say_leftovers(there: There) -> bool:
    for name in there.halves:
        _say(f"{name}: half a copy; push it again, or remove it")
    for name, why in there.unreadable.items():
        _say(f"{name}: is no copy: {why}")
    return bool(there.halves or there.unreadable)


def _check(offsite: Offsite, ids: list[str], teller: Terminal, *, every: bool) -> int:
    there = offsite.reading.there()
    is_wrong = _say_leftovers(there)
    copies = {copy.backup_id: copy for copy in there.copies}
    for backup_id in copies if every else ids:
        if backup_id not in copies:
            raise NotFoundError(f"{offsite.place.shown} has no copy {backup_id[:100]}")
        problems = offsite.reading.problems(copies[backup_id], teller)
        teller.done()
        for problem in problems:
            _say(f"{backup_id}: {problem}")
        if not problems:
            _say(f"{backup_id}: sound, {copies[backup_id].size} bytes were read")
        is_wrong = is_wrong or bool(problems)
    _say(f"{offsite.place.shown}: {len(copies)} copies")
    return 1 if is_wrong else 0


def _as_data(copy: Copy) -> dict[str, object]:
    return {
        "id": copy.backup_id,
        "created_at": stamp(copy.created_at),
        "trigger": copy.trigger,
        "instance_id": copy.instance_id,
        "size": copy.size,
        "key_id": copy.key_id or None,
    }


def _row(copy: Copy) -> tuple[str, ...]:
    taken = f"{copy.created_at:%Y-%m-%d %H:%M}"
    return (
        copy.backup_id,
        taken,
        one_line(copy.trigger),
        str(copy.size),
        one_line(copy.key_id) or "-",
    )


def _say(sentence: str) -> None:
    sys.stderr.write(f"{one_line(sentence)}\n")

"""`events`: the audit log, filtered."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable
from itertools import islice
from typing import NoReturn

from bty_app.cli.reach import events as reach
from bty_app.cli.reach.events import SLICE, Data
from bty_app.config import Config
from bty_app.domain.event_filters import Filters
from bty_app.domain.events import Actor
from bty_app.domain.mac import parse_mac
from bty_app.errors import ConflictError, UnavailableError, ValidationError
from bty_app.logs import one_line

USUAL_LIMIT = 50
FOLLOW_SECONDS = 2.0

Tell = Callable[[Data], str]

_EPILOG = """examples:
  bty events                                          the newest 50, the last one at the end
  bty events --failed --since 24h
  bty events --machine 52:54:00:12:34:56 --limit 10
  bty events --kind 'machine.flash*' --json | jq -r .summary
  bty events --all --json > events.jsonl              every row there is
  bty events --follow --failed                        and what fails from now on
  bty events --search 'token ci'                      what a script did

A moment is one such as 2026-11-22T19:07 (UTC), or how long ago: 30m, 24h, 7d. The command works
beside a running server.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "--search", metavar="TEXT", default="", help="a part of what a person reads"
    )
    parser.add_argument("--kind", metavar="KIND", default="", help="a kind; * for any characters")
    parser.add_argument("--machine", metavar="MAC", help="what happened to this machine")
    parser.add_argument("--actor", choices=[actor.value for actor in Actor], help="who acted")
    parser.add_argument("--ip", metavar="ADDRESS", default="", help="where it came from")
    parser.add_argument("--since", metavar="WHEN", default="", help="not before this moment")
    parser.add_argument("--until", metavar="WHEN", default="", help="before this moment")
    parser.add_argument("--failed", action="store_true", help="failures alone")
    parser.add_argument("--open", action="store_true", help="those that nobody has acknowledged")
    many = parser.add_mutually_exclusive_group()
    many.add_argument(
        "--limit", type=_count, default=USUAL_LIMIT, metavar="N", help="the newest N (default: 50)"
    )
    many.add_argument("--all", action="store_true", help="all of them")
    parser.add_argument(
        "--follow", action="store_true", help="and those that come, until ^C ends it"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(args: argparse.Namespace, config: Config) -> int:
    """Show them, oldest first; the exit status is 0."""
    filters, tell = _filters(args), _as_json if args.json else _as_line
    if args.follow and (args.all or args.until):
        raise ValidationError("--follow goes on from the newest: leave --all and --until out")
    with reach.events(args, config) as events:
        if args.all:
            _write(events.every(filters), tell)
            return 0
        last = reach.newest_id(events) if args.follow else 0
        rows = events.newest(filters, args.limit)
        _write(rows, tell)
    if args.follow:
        _follow(args, config, max([last, *(row["id"] for row in rows)]), tell)
    return 0


def _follow(args: argparse.Namespace, config: Config, last: int, tell: Tell) -> NoReturn:
    """Show what comes behind `last`, also when its server was away meanwhile. The state is opened
    each time: who follows for days keeps nobody from restoring it.
    """
    said = ""
    while True:
        time.sleep(FOLLOW_SECONDS)
        try:
            with reach.events(args, config) as events:
                newest = reach.newest_id(events)
                rows = events.behind(_filters(args), last) if newest > last else []
        except (UnavailableError, ConflictError) as error:
            if error.message != said:
                said = error.message
                sys.stderr.write(f"{one_line(said)}: trying again\n")
            continue
        said = ""
        _write(rows, tell)
        last = max([newest, *(row["id"] for row in rows)])


def _filters(args: argparse.Namespace) -> Filters:
    machine = parse_mac(args.machine) if args.machine else ""
    return Filters(
        q=args.search,
        kind=args.kind,
        subject_kind="machine" if machine else "",
        subject_id=machine,
        actor=args.actor or "",
        source_ip=args.ip,
        since=args.since,
        until=args.until,
        failed=args.failed,
        open=args.open,
    )


def _write(rows: Iterable[Data], tell: Tell) -> None:
    left = iter(rows)
    while lines := [f"{tell(row)}\n" for row in islice(left, SLICE)]:
        sys.stdout.write("".join(lines))
    sys.stdout.flush()


def _as_json(row: Data) -> str:
    return json.dumps(row, separators=(",", ":"))


def _as_line(row: Data) -> str:
    return one_line(f"{row['ts'][:19]}Z  {row['kind']}  {row['summary']}")


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:7]) <= 100_000:
        raise argparse.ArgumentTypeError("a whole number from 1 to 100000; --all shows all")
    return int(text)

"""`token`: create, list and revoke the API tokens of scripts."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from bty_app.cli.reach import tokens as reach
from bty_app.cli.reach.tokens import Data
from bty_app.cli.tables import table
from bty_app.config import Config
from bty_app.domain.tokens import Scope
from bty_app.logs import one_line

_EPILOG = """examples:
  bty token create monitoring                        may read, never ends
  bty token create deploy --scope operate --expires 90
  bty token create ci --scope operate > ci.token     the token alone is on standard output
  bty token list
  bty token revoke monitoring                        by its name or its id, at once

A token is shown once, when it is made; only its SHA-256 is kept. Scripts send it as
`Authorization: Bearer bty_...`. It is kept in the database of the state directory, and a server
that runs knows of it at once.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EPILOG
    acts = parser.add_subparsers(dest="act", required=True, metavar="create|list|revoke")
    creating = acts.add_parser("create", help="make a token and print it, this once")
    creating.add_argument("name", metavar="NAME", help="what it is for")
    creating.add_argument(
        "--scope",
        choices=[scope.value for scope in Scope],
        default=Scope.READ.value,
        help="what it may (default: read)",
    )
    creating.add_argument(
        "--expires", metavar="DAYS", default="", help="in how many days it ends (default: never)"
    )
    listing = acts.add_parser("list", help="every token, and when it was last used")
    revoking = acts.add_parser("revoke", help="end a token")
    revoking.add_argument("token", metavar="NAME|ID", help="which one, as `list` names it")
    for act in (creating, listing):
        act.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace, config: Config) -> int:
    """Do one act; the exit status is 0."""
    with reach.tokens(args, config) as tokens:
        if args.act == "list":
            rows = tokens.every()
            sys.stdout.write(json.dumps(rows, indent=2) + "\n" if args.json else _as_table(rows))
        elif args.act == "create":
            made = tokens.create(args.name, args.scope, args.expires)
            told = json.dumps(made, indent=2) if args.json else made["token"]
            sys.stdout.write(f"{told}\n")
            ends = f"ends {_minute(made['expires_at'])} UTC" if made["expires_at"] else "never ends"
            sys.stderr.write(
                f"token {one_line(made['name'])} ({made['id']}) may {made['scope']} and {ends};"
                " it is not shown again\n"
            )
        else:
            gone = tokens.revoke(args.token)
            sys.stderr.write(f"token {one_line(gone['name'])} ({gone['id']}) is revoked\n")
    return 0


def _as_table(tokens: Sequence[Data]) -> str:
    if not tokens:
        return "there is no token\n"
    head = ("id", "name", "scope", "created", "expires", "last used", "from")
    return table([head, *map(_row, tokens)])


def _row(token: Data) -> tuple[str, ...]:
    moments = (token["created_at"], token["expires_at"], token["last_used_at"])
    created, expires, used = (_minute(at) if at else "never" for at in moments)
    name, ip = one_line(token["name"]), token["last_used_ip"]
    return (token["id"], name, token["scope"], created, expires, used, ip or "-")


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")

"""`settings`: list and change the settings that a running server takes up."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from bty_app.cli.reach import settings as reach
from bty_app.cli.reach.settings import Data, SettingReach
from bty_app.config import Config, did_you_mean
from bty_app.domain.settings import SETTINGS_BY_KEY
from bty_app.logs import one_line

_EPILOG = """examples:
  bty settings list                                  every setting, and where its value comes from
  bty settings list --json | jq -r '.[] | select(.from == "changed here") | .key'
  bty settings set boot.max_attempts 3
  bty settings set upstream.netboot_repo https://example.com/bty
  bty settings unset boot.max_attempts               back to what is configured, or the default

They are kept in the database, and a server that runs takes a change up within seconds. What is
read at the start of the server alone is the configuration: `bty show-config`.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EPILOG
    acts = parser.add_subparsers(dest="act", required=True, metavar="list|set|unset")
    listing = acts.add_parser("list", help="every setting, and where its value comes from")
    listing.add_argument("--json", action="store_true", help="print the rows as a JSON array")
    setting = acts.add_parser("set", help="change a setting")
    unsetting = acts.add_parser("unset", help="go back to what is configured, or to the default")
    for act in (setting, unsetting):
        act.add_argument("key", metavar="KEY", type=_key, help="which one, as `list` names it")
    setting.add_argument("value", metavar="VALUE", help="what it is to be")


def run(args: argparse.Namespace, config: Config) -> int:
    """Do one act; the exit status is 0."""
    with reach.settings(args, config) as settings:
        if args.act == "list":
            rows = settings.every()
            sys.stdout.write(json.dumps(rows, indent=2) + "\n" if args.json else _as_table(rows))
        else:
            _change(settings, args.key, args.value if args.act == "set" else "")
    return 0


def _key(text: str) -> str:
    if text not in SETTINGS_BY_KEY:
        near = did_you_mean(text, SETTINGS_BY_KEY)
        raise argparse.ArgumentTypeError(f"there is no setting {text!r}{near}")
    return text


def _change(settings: SettingReach, key: str, value: str) -> None:
    if settings.change(key, value):
        row = next(row for row in settings.every() if row["key"] == key)
        sys.stderr.write(f"{key} is {one_line(row['value']) or 'not set'} ({row['from']})\n")
    else:
        sys.stderr.write(f"{key} was so already\n")


def _as_table(shown: Sequence[Data]) -> str:
    rows = [
        (row["key"], one_line(row["value"]) or "-", row["from"], row["problem"]) for row in shown
    ]
    key_width = max(len(key) for key, *_ in rows)
    value_width = max(len(value) for _, value, *_ in rows)
    return "".join(
        f"{key:{key_width}}  {value:{value_width}}  {where}{f' ({problem})' if problem else ''}\n"
        for key, value, where, problem in rows
    )

"""`show-config`: every setting, its effective value, and where that value comes from."""

from __future__ import annotations

import argparse
import json
import sys

from bty_app import config_values
from bty_app.config import KEYS, MASK, Config, Key

_EPILOG = """examples:
  bty show-config                          all settings
  bty show-config --json | jq '."server.port"'
  bty --config my.toml show-config         what my.toml would give

Values come from, later wins, key by key: the defaults; the files /etc/bty/conf.d/*.toml,
/etc/bty/bty.toml, $BTY_CONFIG_DIR/*.toml, $BTY_CONFIG_FILE and <state_dir>/bty.toml, or in place
of all these what --config names; the variables BTY_<SECTION>_<KEY>; flags. Secrets are shown
as ***. Settings that are changed in the browser live in the database: `bty settings list`.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "--json",
        action="store_true",
        help='print {"server.port": {"value": 8080, "from": "default"}, ...}',
    )


def run(args: argparse.Namespace, config: Config) -> int:
    """Print the table; the exit status is 0."""
    sys.stdout.write(_as_json(config) if args.json else _as_table(config))
    return 0


def _as_json(config: Config) -> str:
    settings = {
        key.name: {"value": _json_value(key, config), "from": config.provenance[key.name]}
        for key in KEYS
    }
    return json.dumps(settings, indent=2) + "\n"


def _json_value(key: Key, config: Config) -> str | int | list[str]:
    value = config.value(key.name)
    return MASK if key.secret and value else config_values.listed(value)


def _as_table(config: Config) -> str:
    rows = [
        (key.name, key.shown(config.value(key.name)) or "-", config.provenance[key.name])
        for key in KEYS
    ]
    name_width = max(len(name) for name, _, _ in rows)
    value_width = max(len(value) for _, value, _ in rows)
    return "".join(
        f"{name:{name_width}}  {value:{value_width}}  {source}\n" for name, value, source in rows
    )

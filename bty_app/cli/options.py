"""Options that every command has, and the way a command's own flag sets a configuration key.

A flag that sets a key is added with `add_config_flag(parser, "server.port")`: its spelling and help
come from the key's row in `bty_app.config`, and its value arrives as the last layer of the
`Config`, with the provenance `flag(--port)`. The command reads `config`, never the flag.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from bty_app.config import KEYS_BY_NAME, Key
from bty_app.errors import ConfigError


def add_global_options(parser: argparse.ArgumentParser) -> None:
    """The options that may stand before or after the name of the command."""
    group = parser.add_argument_group("options of every command")
    group.add_argument(
        "--config",
        action="append",
        type=Path,
        default=[],
        metavar="PATH",
        help="read this TOML file, or the *.toml files of this directory, in place of the usual "
        "ones; may be given several times, later ones win",
    )
    add_config_flag(group, "paths.state_dir")
    add_config_flag(group, "log.format")
    group.add_argument(
        "--debug", action="store_true", help="log more, and show where an unexpected failure was"
    )


def add_config_flag(parser: argparse.ArgumentParser | argparse._ArgumentGroup, name: str) -> None:
    """Add the flag of the configuration key `name` ("server.port").

    A value that the key refuses is a usage error (exit status 2). The flag of a switch takes none.
    """
    key = KEYS_BY_NAME[name]
    about = f"{key.help} ({key.env})".replace("%", "%%")
    if isinstance(key.default, bool):
        parser.add_argument(key.flag, dest=key.name, action="store_const", const="true", help=about)
        return
    parser.add_argument(
        key.flag, dest=key.name, type=_checked(key), metavar=key.metavar, help=about
    )


def flag_values(arguments: argparse.Namespace) -> dict[str, str]:
    """The configuration keys that were set by flags, with their text."""
    given = {name: getattr(arguments, name, None) for name in KEYS_BY_NAME}
    return {name: value for name, value in given.items() if value is not None}


def _checked(key: Key) -> Callable[[str], str]:
    def check(text: str) -> str:
        try:
            key.parse(text)
        except ConfigError as error:
            raise argparse.ArgumentTypeError(f"{key.shown(text)!r} {error.message}") from error
        return text

    return check

"""A command for a server elsewhere: `--at URL`, its token, and whom TLS trusts.

It is not called `--server`: that one, without a command, lets a server do with this machine's disk
what it wants (CONTRACT 2.2), and a misspelled command must never come to mean that.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from urllib.parse import urlsplit

from bty_app.errors import BtyError, ConfigError

AT, TOKEN, TOKEN_FILE, CA = "BTY_AT", "BTY_TOKEN", "BTY_TOKEN_FILE", "BTY_CA"


class HereOnlyError(BtyError):
    """What was asked can be done on the host of the state alone."""

    code = "here_only"


def add_options(parser: argparse.ArgumentParser, *, shown: bool = True) -> None:
    """The options; not `shown` are they where the command will refuse them with a sentence."""
    group = parser.add_argument_group("a server elsewhere") if shown else parser

    def about(text: str) -> str:
        return text if shown else argparse.SUPPRESS

    group.add_argument(
        "--at",
        dest="elsewhere_at",
        type=_checked,
        metavar="URL",
        help=about(f"the server that the command is for, in place of the state here ({AT})"),
    )
    group.add_argument(
        "--token-file",
        dest="elsewhere_token_file",
        type=Path,
        metavar="FILE",
        help=about(f"a file with an API token of it ({TOKEN_FILE}; {TOKEN} is a token itself)"),
    )
    group.add_argument(
        "--ca",
        dest="elsewhere_ca",
        type=Path,
        metavar="FILE",
        help=about(f"the authority, in PEM, that alone signs its certificate ({CA})"),
    )


def chosen(args: argparse.Namespace) -> str:
    """The URL of the server, or nothing.

    Raises:
        ConfigError: the environment has none that can be one.
    """
    if given := getattr(args, "elsewhere_at", None):
        return str(given)
    told = os.environ.get(AT, "")
    try:
        return _checked(told) if told else ""
    except argparse.ArgumentTypeError as error:
        raise ConfigError(f"{AT}: {error}") from error


def _checked(text: str) -> str:
    try:
        found = urlsplit(text)
        is_one = found.scheme in ("http", "https") and bool(found.hostname) and found.port != 0
    except ValueError:
        is_one = False
    if not is_one:
        raise argparse.ArgumentTypeError(f"{text[:200]!r} is no http or https URL of a server")
    if "@" in text or "?" in text or "#" in text:
        raise argparse.ArgumentTypeError(
            f"the URL must be that of the server alone: the token belongs into {TOKEN} or a file"
        )
    return text.rstrip("/")

"""`terminals`: another command, on several terminals at once."""

from __future__ import annotations

import argparse
from pathlib import Path

from bty_app.cli import main
from bty_app.config import Config
from bty_app.errors import InvalidInputError
from bty_app.flasher.terminals import on_all

_EPILOG = """examples:
  bty terminals --on /dev/tty1 --on /dev/ttyS0 flash --server http://127.0.0.1:8080
  bty terminals --on /dev/ttyS0 wizard

For live environments: the screen, the serial line and that of the BMC show the same, and a key on
any of them counts. A terminal that is not there is left out.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "--on", action="append", type=Path, default=[], metavar="TERMINAL", help="one of them"
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, help="the command and its arguments")


def run(args: argparse.Namespace, _config: Config) -> int:
    """Run the command; its exit status."""
    if not args.command or args.command[0] == "terminals":
        raise InvalidInputError("terminals: say which command, such as flash or wizard")
    return on_all(args.on, lambda: main.main(args.command))

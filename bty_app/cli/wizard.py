"""`wizard`: a person chooses an image and a disk at a plain terminal."""

from __future__ import annotations

import argparse

from bty_app.cli.flasher_parts import Machine, parts
from bty_app.config import Config
from bty_app.flasher.run import Ending

_EPILOG = """examples:
  bty wizard                                        asks where the images are
  bty wizard --catalog http://127.0.0.1:8080/catalog.toml
  bty wizard --catalog oras://registry.example.com/catalog:latest

Works on a serial line of 80 columns and 24 rows. Nothing is written before the disk, with all that
is on it, was shown and confirmed. ^C leaves, and says what state the disk is in.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "--catalog",
        metavar="SOURCE",
        help="a catalog.toml: a path, or an http, https, oras or file URL",
    )


def run(args: argparse.Namespace, config: Config) -> int:
    """Run the wizard; 0 unless it could not be."""
    made = parts(config, Machine())
    if made.wizard(made.flashing()).run(args.catalog) is Ending.REBOOT:
        made.machine.reboot()
    return 0

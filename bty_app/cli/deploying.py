"""What the commands of a deployment have in common: their directory and the choices by flags."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bty_app.deploy.choices import check_directory, check_host
from bty_app.deploy.programs import Programs
from bty_app.errors import ConfigError

DIRECTORY = Path("bty-host")


def add_directory(parser: argparse.ArgumentParser) -> None:
    """The directory of the deployment."""
    parser.add_argument(
        "directory",
        nargs="?",
        type=Path,
        default=DIRECTORY,
        metavar="DIR",
        help=f"the directory of the deployment; default: ./{DIRECTORY}",
    )


def add_choices(parser: argparse.ArgumentParser) -> None:
    """The choices that `init` and `deploy` take as flags."""
    group = parser.add_argument_group("choices, which are kept")
    group.add_argument(
        "--data-dir",
        type=_directory,
        metavar="PATH",
        help="where the state is kept (BTY_HOST_DATA_DIR); default: data beside the files",
    )
    on_off = argparse.BooleanOptionalAction
    group.add_argument(
        "--systemd", action=on_off, help="have systemd run it, by Quadlet units (BTY_SYSTEMD)"
    )
    group.add_argument(
        "--tftp", action=on_off, help="answer TFTP and DHCP as well, as a proxy (BTY_TFTP)"
    )


def choices(args: argparse.Namespace) -> dict[str, str]:
    """The choices that were given, by their variables."""
    found: dict[str, str] = {}
    for name, field in (
        ("HOST_ADDR", "host_addr"),
        ("BTY_HOST_DATA_DIR", "data_dir"),
        ("BTY_IMAGE", "image"),
        ("BTY_SYSTEMD", "systemd"),
        ("BTY_TFTP", "tftp"),
    ):
        value = getattr(args, field, None)
        if value is not None:
            found[name] = ("no", "yes")[value] if isinstance(value, bool) else str(value)
    return found


def host_address(text: str) -> str:
    """A flag's value; a wrong one is a usage error."""
    try:
        return check_host(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error.message}") from error


def _directory(text: str) -> str:
    try:
        return check_directory(os.path.abspath(text))  # noqa: PTH100 - links stay as they are named
    except ConfigError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error.message}") from error


def programs(args: argparse.Namespace) -> Programs:
    """The programs of this host, told of on standard error."""
    return Programs(say, dry=args.dry_run)


def say(line: str) -> None:
    """A line of progress."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def add_dry_run(parser: argparse.ArgumentParser) -> None:
    """The flag of all of them."""
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would be written and run; change nothing"
    )

"""`deploy`: bring bty and its cache up on this host, in containers."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys

from bty_app.cli import deploying
from bty_app.config import Config
from bty_app.deploy.deploying import Order, deploy
from bty_app.deploy.opening import held

_EPILOG = """examples:
  bty deploy /srv/bty                          with podman-compose, `podman compose` or docker
  bty deploy --systemd --tftp /srv/bty         systemd runs it; TFTP and proxy DHCP too
  bty deploy --host-addr 192.0.2.10 /srv/bty   machines reach this host by that address
  bty deploy --dry-run /srv/bty                what would change, and nothing is changed

Choices are kept in DIR/envvars (0600), and a later deploy reads them back: flags only change them.
Passwords that are there are never changed. Run again, a deploy changes what has to change: the
release that runs stays, `bty upgrade` brings another.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EPILOG
    deploying.add_directory(parser)
    deploying.add_choices(parser)
    parser.add_argument(
        "--host-addr",
        type=deploying.host_address,
        metavar="ADDRESS",
        help="what machines reach this host by (HOST_ADDR); default: that of its default route",
    )
    parser.add_argument(
        "--image", metavar="NAME", help="the image of bty (BTY_IMAGE); default: built on this host"
    )
    parser.add_argument(
        "-f", "--force", action="store_true", help="write over files that somebody changed"
    )
    parser.add_argument(
        "--no-start", action="store_true", help="prepare everything, and start nothing"
    )
    deploying.add_dry_run(parser)


def run(args: argparse.Namespace, _config: Config) -> int:
    """Do it; the exit status is 0 when the server is ready."""
    order = Order(
        directory=args.directory,
        told=deploying.choices(args),
        force=args.force,
        starts=not args.no_start,
        user=os.geteuid(),
    )
    shown = sys.stdout.write if args.dry_run else sys.stderr.write
    with contextlib.nullcontext() if args.dry_run else held(args.directory):
        chosen = deploy(order, deploying.programs(args), shown=shown)
    if args.dry_run:
        return 0
    place = (
        f"BTY_ADMIN_PASSWORD in {args.directory / 'envvars'}"
        if chosen.admin_password
        else f"in {chosen.data_dir / 'bty' / 'admin-password'}"
    )
    if args.no_start:
        sys.stdout.write(f"prepared: bty deploy {args.directory} starts it\n")
        return 0
    sys.stdout.write(f"http://{chosen.host_addr}:{chosen.port}\npassword: {place}\n")
    return 0

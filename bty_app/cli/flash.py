"""`flash`: write one image onto one disk, or do what a server wants of this machine."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bty_app.cli.flasher_parts import Machine, Parts, parts
from bty_app.config import Config
from bty_app.domain.flash_options import WIPE_METHODS
from bty_app.domain.image_name import FORMATS
from bty_app.domain.image_source import is_http, is_registry
from bty_app.domain.mac import parse_mac
from bty_app.errors import (
    CancelledError,
    FlashRefusedError,
    InvalidInputError,
    NotFoundError,
)
from bty_app.flasher.describe import erased, written
from bty_app.flasher.disks import check_writable, chosen
from bty_app.flasher.inventory import read_lshw
from bty_app.flasher.orders import Wanted
from bty_app.flasher.plan import Place
from bty_app.flasher.progress import ServerOutput
from bty_app.flasher.run import Ending, Hands, Run
from bty_app.flasher.server import Server
from bty_app.flasher.waiting import Waiting

_EPILOG = """examples:
  bty flash debian.img.zst /dev/sdb                 shows what will be erased, and asks
  bty flash http://127.0.0.1:8080/x.img.gz WD-WCC7K1234567 --yes --verify
  bty flash oras://registry.example.com/debian:13 /dev/nvme0n1 --wipe auto
  bty flash --server http://127.0.0.1:8080 --mac 52:54:00:12:34:56

A disk is named by its path or by its serial. One that is mounted, in use in any other way,
read-only or too small is refused. After a failed or stopped flash the disk does not boot.

With --server the machine reports its hardware, asks for its plan, and carries it out, up to the
reboot. Without a word, a live environment takes both from bty.server= and bty.mac= on the kernel's
command line. `bty --server URL --mac MAC`, without the word flash, is the same.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("image", nargs="?", metavar="IMAGE", help="a file, http, https or oras URL")
    parser.add_argument("disk", nargs="?", metavar="DISK", help="the path or serial of a disk")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--sha256", metavar="HEX", help="of the image as it is fetched")
    parser.add_argument("--format", choices=FORMATS, help="where the name does not say it")
    parser.add_argument("--verify", action="store_true", help="read everything back and compare")
    parser.add_argument(
        "--wipe", choices=WIPE_METHODS, metavar="METHOD", help=f"first: {', '.join(WIPE_METHODS)}"
    )
    parser.add_argument("--server", metavar="URL", help="do what this server wants")
    parser.add_argument("--mac", metavar="MAC", help="this machine, as the server knows it")
    # The original takes it beside --mac, and passes it over: the plan says which catalog.
    parser.add_argument("--catalog", help=argparse.SUPPRESS)
    parser.add_argument(
        "--no-reboot", action="store_true", help="with --server: leave the reboot to somebody else"
    )


def run(args: argparse.Namespace, config: Config) -> int:
    """Flash; 0 when all went well."""
    return run_on(Machine(), args, config)


def run_on(machine: Machine, args: argparse.Namespace, config: Config) -> int:
    """The same, on any machine."""
    if args.image:
        if not args.disk:
            raise InvalidInputError("flash: say which disk, by its path or its serial")
        if args.server or args.mac:
            raise InvalidInputError("flash: either an image and a disk, or --server and --mac")
        return _one(args, parts(config, machine))
    return _driven(args, config, machine)


# -- one image onto one disk -------------------------------------------------------------------


def _one(args: argparse.Namespace, made: Parts) -> int:
    wanted = Wanted(
        places=(_place(args.image),),
        format=args.format,
        sha256=_sha256(args.sha256),
        verify=args.verify,
    )
    disk = chosen(made.machine.probe(), args.disk)
    check_writable(disk)
    order = made.orders.of(wanted)
    console = made.console
    for line in ("will be ERASED:", *erased(disk), "will be written onto it:"):
        console.say(line)
    for line in written(args.image, order):
        console.say(line)
    if args.wipe:
        console.say(f"  before  the disk is wiped ({args.wipe})")
    if not args.yes and not _is_confirmed(made):
        raise CancelledError("not confirmed; nothing was written")
    done = made.flashing().write(order, disk, args.wipe)
    made.after_flash(disk)
    console.say(f"flashed {disk.about}: {done.sentence}")
    return 0


def _place(image: str) -> Place:
    if is_http(image) or is_registry(image):
        return Place(image)
    path = Path(image.removeprefix("file://"))
    if not path.is_file():
        raise NotFoundError(f"there is no file {image}")
    return Place(str(path.resolve()), "file")


def _sha256(text: str | None) -> str | None:
    digest = (text or "").lower().removeprefix("sha256:")
    if digest and (len(digest) != 64 or set(digest) - set("0123456789abcdef")):
        raise InvalidInputError(f"--sha256: {digest[:80]!r} is not 64 hexadecimal digits")
    return digest or None


def _is_confirmed(made: Parts) -> bool:
    if not made.keys.attended:
        raise FlashRefusedError("nobody is here to confirm this: give --yes; nothing was written")
    made.console.prompt("Erase the disk and write the image? [yes/no]")
    try:
        return (made.keys.line() or "").strip().lower() in ("y", "yes")
    except EOFError:
        return False


# -- what a server wants -----------------------------------------------------------------------


def _driven(args: argparse.Namespace, config: Config, machine: Machine) -> int:
    address = args.server or machine.kernel_parameter("bty.server")
    mac = args.mac or machine.kernel_parameter("bty.mac")
    if not address or not mac:
        raise InvalidInputError(
            "flash: give an image and a disk, or --server and --mac"
            " (the kernel command line has no bty.server= and bty.mac=)"
        )
    is_live = machine.kernel_parameter("bty.server") is not None
    made = parts(config, machine, is_live=is_live)
    waiting = Waiting(made.console, made.keys.pressed)
    server = Server(
        made.http,
        address,
        parse_mac(mac),
        wait=waiting,
        # The clock of a machine that somebody works with is not a server's business.
        on_date=machine.set_clock if is_live else lambda _date: None,
    )
    flashing = made.flashing(ServerOutput(server.report_progress))

    def wizard(catalog: str, idle: Callable[[], None]) -> Ending:
        usual = server.catalog_url
        return made.wizard(flashing, _reporter(server), idle, usual).run(catalog)

    hands = Hands(
        probe=machine.probe,
        lshw=read_lshw,
        order=partial(made.orders.of_plan, verify=args.verify),
        flashing=flashing,
        after_flash=made.after_flash,
        reboot=(lambda: None) if args.no_reboot else machine.reboot,
        wizard=wizard,
    )
    Run(server, made.console, waiting, hands, stays=is_live).run()
    return 0


def _reporter(server: Server) -> Callable[[str | None], None]:
    def report(reason: str | None) -> None:
        if reason is None:
            server.report_done()
        else:
            server.report_failed(reason)

    return report

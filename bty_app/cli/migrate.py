"""`migrate`: take the place of an appliance on another host, or take that back."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from bty_app import __version__, runtime_parts
from bty_app.cli import options
from bty_app.cli.telling import Terminal
from bty_app.config import Config
from bty_app.domain.migration import Appliance, parse_address
from bty_app.errors import ConfigError, InvalidInputError, NotFoundError
from bty_app.services import moving_back
from bty_app.services.arrival import Arrival, Arrived, Wanted, finish
from bty_app.services.publication import Places
from bty_app.state_dir import prepare_state_dir
from bty_app.upstream.appliance import OtherAppliance

_EPILOG = """examples:
  bty migrate --from http://192.0.2.10:8080 --token-file admin.token \\
      --public-url http://192.0.2.20:8080 --dry-run
  bty migrate --from http://192.0.2.10:8080 --token-file admin.token \\
      --public-url http://192.0.2.20:8080
  bty migrate --cancel                  on the old host: serve again
  bty migrate --fence http://192.0.2.20:8080    on the old host: another one serves what it had

On the new host, with an empty state directory, while the old one runs: its boot files are fetched
first; then it takes no changes, its database is copied, proven here, and it sends its machines
here. Run it again after whatever stopped it. The token is one of scope admin of the old appliance.
What travels: the database, boot files, catalog.toml, the generated password and the key of
webhooks; backups and bty.toml stay. Passwords go over the wire: use https or a network you trust.
"""
_MAX_TOKEN_BYTES = 4096


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EPILOG
    acts = parser.add_mutually_exclusive_group(required=True)
    acts.add_argument("--from", dest="source", metavar="URL", help="the appliance to replace")
    acts.add_argument(
        "--cancel",
        action="store_true",
        help="on the old host: it serves again, and the new must not",
    )
    acts.add_argument(
        "--fence", metavar="URL", help="on the old host: mark it as moved to the one at URL"
    )
    acts.add_argument(
        "--finish",
        action="store_true",
        help="on the new host: begin without the old one, which is off for good and had been copied"
        " as a whole",
    )
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help="a file with the API token, `-` for stdin"
    )
    options.add_config_flag(parser, "server.public_url")
    parser.add_argument("--dry-run", action="store_true", help="say what would come, and stop")
    parser.add_argument(
        "--anyway",
        action="store_true",
        help="also while machines are being flashed; --cancel: also while the new one answers",
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")


def run(args: argparse.Namespace, config: Config) -> int:
    """Do it and say so; the exit status is 0."""
    place = config.paths.state_dir
    if args.cancel:
        mark = moving_back.cancel(place, runtime_parts.outgoing(), anyway=args.anyway)
        _say(args, {"cancelled": mark.to}, "this appliance serves again")
    elif args.fence is not None:
        to = parse_address(args.fence)
        moving_back.fence(place, to)
        _say(args, {"to": to}, f"this appliance sends its machines to {to}, and takes no changes")
    elif args.finish:
        known = finish(_places(config))
        _say(args, {"machines": known}, f"{known} machines are of this host now")
    else:
        _take_over(args, config)
    return 0


def _places(config: Config) -> Places:
    paths = config.paths
    return Places(paths.state_dir, paths.boot_dir, paths.catalog_file)


def _take_over(args: argparse.Namespace, config: Config) -> None:
    source = parse_address(args.source)
    if args.token_file is None:
        raise InvalidInputError("--token-file FILE: a token of scope admin of the old appliance")
    if not config.server.public_url:
        raise ConfigError(
            "--public-url http://HOST:PORT: the address under which machines reach this host; the"
            " old one sends them there"
        )
    address = parse_address(config.server.public_url)
    if address == source:
        raise InvalidInputError(f"{source} is the address of both: the new host needs its own")
    old = OtherAppliance(runtime_parts.outgoing(), source, _token(args.token_file))
    terminal = Terminal()
    arrival = Arrival(old, _places(config), terminal)
    wanted = Wanted(address, __version__, anyway=args.anyway)
    if args.dry_run:
        _say_plan(args, source, arrival.check(wanted))
        return
    note = prepare_state_dir(config.paths.state_dir)
    if note:
        sys.stderr.write(f"{note}\n")
    try:
        done = arrival.run(wanted)
    finally:
        terminal.done()
    _say_done(args, done)


def _say_plan(args: argparse.Namespace, source: str, found: Appliance) -> None:
    size = sum(part.size for part in found.boot)
    facts: dict[str, object] = {
        "from": source,
        "state": found.state.value,
        "version": found.version,
        "machines": found.machines,
        "flashing": found.flashing,
        "boot_files": len(found.boot),
        "boot_bytes": size,
    }
    _say(
        args,
        facts,
        f"would take over {source}: {found.machines} machines, and {len(found.boot)} boot files of"
        f" {size / 2**20:.1f} MiB; it takes no changes while its database is copied",
    )


def _say_done(args: argparse.Namespace, done: Arrived) -> None:
    _say(
        args,
        dataclasses.asdict(done),
        f"took over {done.source}: {done.machines} machines. Next: start `bty serve` here, point"
        " DHCP at this host, and see `bty doctor`",
    )


def _say(args: argparse.Namespace, facts: dict[str, object], sentence: str) -> None:
    sys.stdout.write(json.dumps(facts) + "\n" if args.json else f"{sentence}\n")


def _token(path: Path) -> str:
    try:
        if str(path) == "-":
            data = sys.stdin.buffer.read(_MAX_TOKEN_BYTES)
        else:
            with path.open("rb") as file:
                data = file.read(_MAX_TOKEN_BYTES)
    except OSError as error:
        raise NotFoundError(f"{path}: cannot be read: {error.strerror}") from error
    token = data.decode("ascii", "replace").strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidInputError(
            f"{path}: holds no token: one line, as `bty token create` prints it"
        )
    return token

"""`live`: build the live environment that machines boot."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from bty_app import __version__, runtime_parts
from bty_app.cli.live_state import live_database
from bty_app.cli.telling import Terminal
from bty_app.config import Config
from bty_app.config_values import version as checked_version
from bty_app.domain.catalog_events import By
from bty_app.domain.events import Actor
from bty_app.errors import ConflictError, InvalidInputError
from bty_app.live.build import Built, build
from bty_app.live.iso import write_iso
from bty_app.live.recipe import KERNELS, SUITE, Recipe
from bty_app.services.revisions import Revisions
from bty_app.store.publish import (
    make_directories,
    publish_directory,
    publishing_file,
    scratch_directory,
)

_EPILOG = """examples:
  bty live build --output ./live            kernel, initrd and manifest into a new directory
  bty live build --install                  and let machines boot it at once
  bty live build --install --firmware       with firmware for cards that need it
  bty live build --install --arch arm64     and machines of arm64 too, beside the others
  bty live build --iso bty.iso              for a stick: boots without a network boot
  bty live build --output ./live --ssh-key ~/.ssh/id_ed25519.pub

It is made of Debian packages, fetched from where apt of this host fetches them; the kernel is the
distribution's own, signed and unmodified. Needs mmdebstrap, kmod and zstd. The same packages give
the same bytes. Without --ssh-key nobody can log in.
"""
_KEY = re.compile(r"(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/=]+( [^\n]*)?", re.ASCII)


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EPILOG
    acts = parser.add_subparsers(dest="act", metavar="build", required=True)
    building = acts.add_parser("build", help="build the live environment")
    building.add_argument("--output", type=Path, metavar="DIR", help="a directory to make")
    building.add_argument(
        "--install", action="store_true", help="install it into boot/, for machines to boot"
    )
    building.add_argument(
        "--iso", type=Path, metavar="FILE", help="also as an image for a stick or a CD"
    )
    building.add_argument(
        "--arch", choices=sorted(KERNELS), default="amd64", help="of the machines"
    )
    building.add_argument("--suite", default=SUITE, help=f"of Debian; without: {SUITE}")
    building.add_argument(
        "--name", metavar="VERSION", default=__version__, help="its version; without: that of bty"
    )
    building.add_argument("--firmware", action="store_true", help="with firmware packages")
    building.add_argument(
        "--ssh-key", type=Path, metavar="FILE", help="the public key that may log in as root"
    )
    building.add_argument(
        "--fast", action="store_true", help="pack less tightly: for trying something out"
    )
    building.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace, config: Config) -> int:
    """Build it; the exit status is 0."""
    if not (args.output or args.install or args.iso):
        raise InvalidInputError("say where it goes: --output DIR, --install, or --iso FILE")
    if args.arch != "amd64" and args.iso:
        raise InvalidInputError("--iso: only for amd64")
    recipe = Recipe(
        version=checked_version(args.name),
        arch=args.arch,
        suite=_suite(args.suite),
        firmware=args.firmware,
        ssh_key=_ssh_key(args.ssh_key) if args.ssh_key else "",
        fast=args.fast,
    )
    told: dict[str, Any]
    if args.output:
        place: Path = args.output.absolute()
        if place.exists():
            raise ConflictError(f"{place}: exists already, and is left as it is")
        make_directories(place.parent)
        with publish_directory(place.parent, place.name) as directory:
            built = _built(recipe, directory, place.parent, args.iso)
        if args.install:
            _install(place, config)
    else:
        beside = config.paths.boot_dir if args.install else args.iso.absolute().parent
        make_directories(beside)
        with scratch_directory(beside, "live") as directory:
            built = _built(recipe, directory, beside, args.iso)
            if args.install:
                _install(directory, config)
    told = {
        "version": built.version,
        "kernel_bytes": built.kernel_bytes,
        "initrd_bytes": built.initrd_bytes,
        "unpacked_bytes": built.unpacked_bytes,
    }
    sys.stdout.write(json.dumps(told) + "\n" if args.json else _sentence(built))
    return 0


def _built(recipe: Recipe, directory: Path, beside: Path, iso: Path | None) -> Built:
    with scratch_directory(beside, "live-build") as scratch:
        built = build(recipe, directory, scratch, _say)
        if iso is not None:
            _say(f"writing {iso}")
            with publishing_file(iso.absolute(), mode=0o644) as out:
                made = scratch / "live.iso"
                write_iso(built, made, scratch)
                with made.open("rb") as image:
                    shutil.copyfileobj(image, out, 2**20)
        return built


def _install(directory: Path, config: Config) -> None:
    with live_database(config.paths.state_dir) as database:
        settings = runtime_parts.settings_of(config, database, Revisions())
        artifacts = runtime_parts.artifacts(config, database, settings, runtime_parts.outgoing())
        artifacts.install_directory(directory, Terminal(), By(Actor.OPERATOR, None))
    _say("installed: machines boot it")


def _sentence(built: Built) -> str:
    wire = (built.kernel_bytes + built.initrd_bytes) / 1e6
    return (
        f"live environment {built.version}: {wire:.1f} MB over the wire"
        f" ({built.kernel_bytes / 1e6:.1f} kernel, {built.initrd_bytes / 1e6:.1f} initrd),"
        f" {built.unpacked_bytes / 1e6:.0f} MB unpacked\n"
    )


def _suite(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9.-]{0,31}", text, re.ASCII):
        raise InvalidInputError(f"{text[:40]!r} is no name of a Debian suite")
    return text


def _ssh_key(path: Path) -> str:
    """The key in a file: its public half, and one only."""
    try:
        text = path.expanduser().read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path} cannot be read: {error}") from error
    if not _KEY.fullmatch(text):
        raise InvalidInputError(f"{path} is no public key of ssh, in one line")
    return text


def _say(words: str) -> None:
    sys.stderr.write(f"{words}\n")

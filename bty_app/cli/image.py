"""`image`: pack an image so that machines write it as fast as they can."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bty_app.cli.telling import Terminal
from bty_app.config import Config
from bty_app.domain.image_name import FORMATS, detect_format
from bty_app.domain.image_source import is_http, is_registry
from bty_app.errors import InvalidInputError
from bty_app.flasher.order import Kind, Order, Source
from bty_app.flasher.pack import LEVEL, Packed, pack
from bty_app.flasher.zstd_packing import LEVELS
from bty_app.store.publish import publishing_file, scratch_directory

_EPILOG = """examples:
  bty image pack debian.img.xz debian.img.zst
  bty image pack https://example.com/disk.qcow2 disk.img.zst
  bty image pack --sha256 4f2a... debian.img.gz debian.img.zst   refuse another file than this

The result is one .img.zst that every zstd reads. Its frames of 4 MiB are decoded on all cores while
they are written to the disk, and a table at its end says how large the image is, so that one that
does not fit is refused before anything is written. The file appears whole or not at all.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EPILOG
    acts = parser.add_subparsers(dest="act", metavar="pack", required=True)
    packing = acts.add_parser("pack", help="make a .img.zst of many frames out of any image")
    packing.add_argument("source", metavar="SRC", help="a file, or an http(s):// or oras:// URL")
    packing.add_argument("dest", metavar="DEST", type=Path, help="the file to write")
    packing.add_argument(
        "--format", choices=FORMATS, help="what SRC is; without: what its name says"
    )
    packing.add_argument(
        "--level",
        type=int,
        choices=LEVELS,
        default=LEVEL,
        metavar="N",
        help=f"1 (quick) to {LEVELS[-1]} (small); {LEVEL} without",
    )
    packing.add_argument("--sha256", metavar="HEX", help="the digest that SRC must have")
    packing.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace, config: Config) -> int:  # noqa: ARG001 - the table's signature
    """Pack."""
    order = _order(args)
    terminal = Terminal()
    try:
        with (
            scratch_directory(args.dest.parent, args.dest.name) as scratch,
            publishing_file(args.dest, mode=0o644) as out,
        ):
            packed = pack(order, out, terminal, scratch=scratch, level=args.level)
    finally:
        terminal.done()
    _say(args.dest, packed, as_json=args.json)
    return 0


def _order(args: argparse.Namespace) -> Order:
    kind = args.format or detect_format(args.source.partition("?")[0])
    if kind is None:
        raise InvalidInputError(f"{args.source}: its name does not say what it is: use --format")
    if args.dest.suffix != ".zst":
        raise InvalidInputError(f"{args.dest}: what comes out is .img.zst, and has to be named so")
    place: Kind = "file"
    if is_http(args.source):
        place = "http"
    elif is_registry(args.source):
        place = "registry"
    sha256 = args.sha256.lower() if args.sha256 else None
    return Order((Source(place, args.source, place),), kind, sha256)


def _say(dest: Path, packed: Packed, *, as_json: bool) -> None:
    if as_json:
        result = {
            "path": str(dest),
            "sha256": packed.sha256,
            "size_bytes": packed.size_bytes,
            "image_bytes": packed.image_bytes,
            "frames": packed.frames,
        }
        sys.stdout.write(json.dumps(result) + "\n")
        return
    sys.stdout.write(f"{packed.sha256}  {dest}\n")
    sys.stderr.write(
        f"{packed.image_bytes} bytes in {packed.frames} frames, packed {packed.size_bytes} bytes\n"
    )

"""`catalog`: list, import, add and remove images, beside a running server, without, or on one."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from bty_app.cli import catalog_check, catalog_upstream
from bty_app.cli.reach import catalog as reach
from bty_app.cli.reach.catalog import CatalogReach, Report
from bty_app.cli.tables import table
from bty_app.config import Config
from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.image_source import without_credentials

_EPILOG = """examples:
  bty catalog list
  bty catalog list --json | jq -r '.[].bty_image_ref'
  bty catalog diff                          what a fetch would change
  bty catalog fetch                         follow upstream.catalog_url
  bty catalog check --all                   are the images still there, and the same?
  bty catalog warm debian.img.zst           have the cache ready before the rack boots
  bty catalog import ./catalog.toml --keep
  bty catalog import https://example.com/catalog.toml
  bty catalog add https://example.com/debian.img.zst --sha-url https://example.com/SHA256SUMS
  bty catalog remove https://example.com/debian.img.zst

An image's ref, which machines are bound to, is the SHA-256 of its canonical source.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EPILOG
    acts = parser.add_subparsers(
        dest="act", required=True, metavar="list|diff|fetch|import|add|check|warm|remove"
    )
    listing = acts.add_parser("list", help="all images")
    listing.add_argument("--json", action="store_true", help="print the rows as a JSON array")
    importing = acts.add_parser("import", help="take in a catalog.toml")
    importing.add_argument("source", help="a path, or an http, https, oras or file URL")
    importing.add_argument(
        "--keep",
        action="store_true",
        help="also make it the catalog file, which a fresh database begins with",
    )
    importing.add_argument("--json", action="store_true", help="print the report as JSON")
    catalog_upstream.configure(acts)
    adding = acts.add_parser("add", help="add the image at a URL")
    adding.add_argument("url", help="an http, https or oras URL")
    adding.add_argument("--sha-url", help="a SHA256SUMS file that lists the image")
    adding.add_argument("--ref", help="refuse unless the image's ref is this one")
    catalog_check.configure(acts)
    warming = acts.add_parser("warm", help="have withcache fetch an image, and wait for it")
    warming.add_argument("image", help="its source, its ref or its name")
    warming.add_argument("--force", action="store_true", help="fetch it anew")
    removing = acts.add_parser("remove", help="remove an image that no machine is bound to")
    removing.add_argument("image", help="its source or its ref")


def run(args: argparse.Namespace, config: Config) -> int:
    """Do one act; the exit status is 0, but of a check that has found something."""
    with reach.catalog(args, config) as images:
        if args.act in catalog_upstream.ACTS:
            catalog_upstream.run(args, images)
        elif args.act == "check":
            return catalog_check.run(args, images)
        else:
            _act(args, images)
    return 0


def _act(args: argparse.Namespace, catalog: CatalogReach) -> None:
    match args.act:
        case "list":
            # The place in the database is known there alone: this order is the same everywhere.
            entries = sorted(catalog.entries(), key=lambda e: (e.added_at, e.name, e.bty_image_ref))
            sys.stdout.write(_as_json(entries) if args.json else _as_table(entries))
        case "import":
            _import(args, catalog.take_in(args.source, keep=args.keep))
        case "warm":
            url = catalog.warm(args.image, force=args.force, tell=_say)
            sys.stdout.write(f"{url}\n")
        case "add":
            entry = catalog.add(args.url, sha_url=args.sha_url, ref=args.ref)
            sys.stdout.write(f"{entry.bty_image_ref}\n")
            _say(f"added {entry.name}" + ("" if entry.disk_image_sha else ", without a digest"))
        case _:
            _say(f"removed {catalog.remove(args.image).name}")


def _import(args: argparse.Namespace, report: Report) -> None:
    if args.json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
        return
    _say(f"{report['imported']} new, {report['updated']} changed, {report['skipped']} unchanged")
    for line in catalog_upstream.changed(report):
        _say(line)
    for repeated in report["errors"]:
        _say(f"{repeated['name']}: skipped, {repeated['error']}")


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")


def _as_json(entries: Sequence[CatalogEntry]) -> str:
    return json.dumps([asdict(entry) for entry in entries], indent=2) + "\n"


def _as_table(entries: Sequence[CatalogEntry]) -> str:
    rows = [("NAME", "FORMAT", "SIZE", "SHA256", "REF", "SOURCE")]
    rows += [
        (
            entry.name,
            entry.format or "-",
            "-" if entry.size_bytes is None else str(entry.size_bytes),
            (entry.disk_image_sha or "-")[:12],
            entry.bty_image_ref[:12],
            without_credentials(entry.src),
        )
        for entry in entries
    ]
    return table(rows)

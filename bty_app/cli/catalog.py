"""`catalog`: list, import, add and remove images, beside a running server or without one."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from bty_app import runtime_parts
from bty_app.cli import catalog_check, catalog_upstream
from bty_app.cli.live_state import live_database
from bty_app.cli.tables import table
from bty_app.config import Config
from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.catalog_events import import_report, shown
from bty_app.domain.image_source import without_credentials
from bty_app.services.catalog import Catalog
from bty_app.services.catalog_imports import CatalogImports
from bty_app.services.image_warming import Order, Warming
from bty_app.services.revisions import Revisions

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
    with live_database(config.paths.state_dir) as database:
        http = runtime_parts.outgoing()
        registry = runtime_parts.registry(config, http)
        images = Catalog(database, http, registry, Revisions())
        if args.act in catalog_upstream.ACTS:
            upstream = runtime_parts.catalog_upstream(config, database, Revisions(), http)
            catalog_upstream.run(args, upstream)
        elif args.act == "import":
            place = config.paths.catalog_file
            _import(args, CatalogImports(database, http, registry, catalog_file=place))
        elif args.act == "check":
            return catalog_check.run(args, images, runtime_parts.catalog_checks(config, http))
        elif args.act == "warm":
            _warm(args, images, runtime_parts.warming(config, database, Revisions(), http))
        else:
            _act(args, images)
    return 0


def _act(args: argparse.Namespace, catalog: Catalog) -> None:
    if args.act == "list":
        entries = catalog.entries()
        sys.stdout.write(_as_json(entries) if args.json else _as_table(entries))
    elif args.act == "add":
        entry = catalog.add(args.url, sha_url=args.sha_url, ref=args.ref, ip=None)
        sys.stdout.write(f"{entry.bty_image_ref}\n")
        _say(f"added {entry.name}" + ("" if entry.disk_image_sha else ", without a digest"))
    else:
        _say(f"removed {catalog.remove(args.image, ip=None).name}")


def _warm(args: argparse.Namespace, catalog: Catalog, warming: Warming) -> None:
    held = warming.warm(catalog.find(args.image), Order(force=args.force), _say)
    sys.stdout.write(f"{held.url}\n")


def _import(args: argparse.Namespace, imports: CatalogImports) -> None:
    done = imports.import_from(args.source, ip=None, keep=args.keep)
    report = import_report(done.source, done.merge)
    if args.json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
        return
    _say(f"{report['imported']} new, {report['updated']} changed, {report['skipped']} unchanged")
    for update in done.merge.updated:
        for change in update.changes:
            old, new = shown(change.old), shown(change.new)
            _say(f"{update.entry.name}: {change.field} was {old}, is {new}")
    for repeated in done.merge.repeated:
        _say(f"{repeated.name}: skipped, the same image as {repeated.first_name}")


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

"""`catalog check`: ask the origins of images whether they still have what the catalog says."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from typing import Any

from bty_app.cli.reach.catalog import CatalogReach
from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.origin_report import Checked
from bty_app.errors import InvalidInputError


def configure(acts: Any) -> None:
    """The arguments."""
    parser: argparse.ArgumentParser = acts.add_parser(
        "check", help="is an image still where the catalog says, and the same one? else status 1"
    )
    parser.add_argument("image", nargs="?", help="its source, its ref or its name")
    parser.add_argument("--all", action="store_true", help="every image, one after the other")
    parser.add_argument("--json", action="store_true", help="print the results as a JSON array")


def run(args: argparse.Namespace, catalog: CatalogReach) -> int:
    """Check; 0 when all is well, 1 when an origin does not answer or has something else."""
    entries = _wanted(args, catalog)
    done = []
    for entry in entries:
        found = catalog.check(entry)
        done.append(found)
        if not args.json:
            _tell(found)
    if args.json:
        sys.stdout.write(json.dumps([found.report() for found in done], indent=2) + "\n")
    return 0 if all(found.is_good for found in done) else 1


def _wanted(args: argparse.Namespace, catalog: CatalogReach) -> Iterable[CatalogEntry]:
    if args.all == (args.image is not None):
        raise InvalidInputError("name an image to check, or give --all")
    return catalog.entries() if args.all else [catalog.find(args.image)]


def _tell(found: Checked) -> None:
    """One line for each image, as soon as it is known."""
    sys.stdout.write(f"{found.entry.name}: {found.words()}\n")
    sys.stdout.flush()

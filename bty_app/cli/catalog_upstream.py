"""`catalog diff` and `catalog fetch`: follow an upstream catalog."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

from bty_app.cli.reach.catalog import CatalogReach, Report
from bty_app.domain.catalog_events import shown

ACTS = ("diff", "fetch")


def configure(acts: Any) -> None:
    """The arguments of both acts."""
    for act, about in (
        ("diff", "show what a fetch would change"),
        ("fetch", "follow the upstream catalog: add, change, and remove what no machine needs"),
    ):
        parser: argparse.ArgumentParser = acts.add_parser(act, help=about)
        parser.add_argument(
            "source",
            nargs="?",
            help="a path, or an http, https, oras or file URL; without: upstream.catalog_url",
        )
        parser.add_argument("--json", action="store_true", help="print the report as JSON")
        if act == "fetch":
            parser.add_argument(
                "--allow-shrink",
                action="store_true",
                help="also when more than half of its images would be gone",
            )
            parser.add_argument(
                "--force",
                action="store_true",
                help="compare it even if its host says that it is the one taken last",
            )


def run(args: argparse.Namespace, catalog: CatalogReach) -> None:
    """Do one act."""
    if args.act == "diff":
        _show(catalog.diff(args.source), as_json=args.json)
        return
    taken = catalog.fetch(args.source, allow_shrink=args.allow_shrink, force=args.force)
    if taken is not None:
        _show(taken, as_json=args.json)
    elif args.json:
        sys.stdout.write("null\n")
    else:
        sys.stderr.write("upstream has the catalog that was taken last: nothing to do\n")


def changed(report: Report) -> Iterator[str]:
    """A line for each image that is another now."""
    for row in report["changes"]:
        told = (
            f"{field} was {_value(change['old'])}, is {_value(change['new'])}"
            for field, change in row["changed"].items()
        )
        yield f"{row['name']}: {'; '.join(told)}"


def _show(report: Report, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
        return
    lines = [f"+ {name}" for name in report["added"]]
    lines += [f"~ {line}" for line in changed(report)]
    lines += [f"- {name}" for name in report["removed"]]
    lines += [
        f"! {gone['name']}: gone upstream, kept for {gone['machines']} machine(s): {_macs(gone)}"
        for gone in report["kept"]
    ]
    lines += [f"  {name}: listed again" for name in report["returned"]]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stderr.write(f"{report['source']}: {report['skipped']} unchanged\n")


def _value(value: Any) -> str:
    return shown(tuple(value) if isinstance(value, list) else value)


def _macs(gone: Report) -> str:
    more = gone["machines"] - len(gone["macs"])
    return ", ".join(gone["macs"]) + (f" and {more} more" if more > 0 else "")

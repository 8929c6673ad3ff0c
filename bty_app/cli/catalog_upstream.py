"""`catalog diff` and `catalog fetch`: follow an upstream catalog."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from bty_app.domain.catalog_diff import CatalogDiff, Gone
from bty_app.domain.catalog_events import diff_report, shown
from bty_app.services.catalog_upstream import CatalogUpstream

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


def run(args: argparse.Namespace, upstream: CatalogUpstream) -> None:
    """Do one act."""
    if args.act == "diff":
        _show(upstream.diff(args.source), as_json=args.json)
        return
    taken = upstream.take(args.source, ip=None, allow_shrink=args.allow_shrink, force=args.force)
    if taken is not None:
        _show(taken, as_json=args.json)
    elif args.json:
        sys.stdout.write("null\n")
    else:
        sys.stderr.write("upstream has the catalog that was taken last: nothing to do\n")


def _show(found: CatalogDiff, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(diff_report(found), indent=2) + "\n")
        return
    lines = [f"+ {entry.name}" for entry in found.merge.added]
    for update in found.merge.updated:
        told = (f"{c.field} was {shown(c.old)}, is {shown(c.new)}" for c in update.changes)
        lines.append(f"~ {update.entry.name}: {'; '.join(told)}")
    lines += [f"- {entry.name}" for entry in found.removed]
    lines += [
        f"! {gone.entry.name}: gone upstream, kept for {gone.bound} machine(s): {_macs(gone)}"
        for gone in found.kept
    ]
    lines += [f"  {entry.name}: listed again" for entry in found.returned]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stderr.write(f"{found.source}: {found.merge.kept} unchanged\n")


def _macs(gone: Gone) -> str:
    more = gone.bound - len(gone.machines)
    return ", ".join(gone.machines) + (f" and {more} more" if more > 0 else "")

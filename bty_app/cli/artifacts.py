"""`artifacts`: list, fetch, install, check and roll back what machines boot."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bty_app.cli.reach import artifacts as reach
from bty_app.cli.reach.artifacts import ArtifactReach, Data
from bty_app.cli.telling import Terminal
from bty_app.config import Config

_EPILOG = """examples:
  bty artifacts list                         what machines boot, and what is installed
  bty artifacts fetch                        the release of this version, from upstream.netboot_repo
  bty artifacts fetch --tag v0.77.2          another release
  bty artifacts fetch --from https://example.com/bty
  bty artifacts install /srv/bty-live        a directory, or a tar archive, without a network
  bty artifacts check                        read every file of the installed sets
  bty artifacts rollback                     let machines boot the set before the current one

A set is installed as a whole or not at all: each file has to be as the set's manifest says, and the
manifest signed where netboot.signing_key is configured. These commands work beside a running
server. A fetch that was interrupted goes on from there.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EPILOG
    acts = parser.add_subparsers(
        dest="act", metavar="list|fetch|install|check|rollback", required=True
    )
    listing = acts.add_parser("list", help="what machines boot, and what is installed")
    fetching = acts.add_parser("fetch", help="fetch a release and install it")
    fetching.add_argument("--tag", help="the release; without: upstream.netboot_tag")
    fetching.add_argument(
        "--from",
        dest="source",
        metavar="SOURCE",
        help="owner/repository, the URL of a mirror, or a directory; without:"
        " upstream.netboot_repo",
    )
    installing = acts.add_parser("install", help="install a set from this host")
    installing.add_argument("path", type=Path, help="a directory or a tar archive")
    checking = acts.add_parser("check", help="compare every file of the installed sets")
    rolling = acts.add_parser("rollback", help="let machines boot the set before the current one")
    for act in (listing, fetching, installing, checking, rolling):
        act.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace, config: Config) -> int:
    """Do one act; the exit status is 0, but of a check that has found something."""
    with reach.artifacts(args, config) as artifacts:
        match args.act:
            case "list":
                _list(artifacts.state(), as_json=args.json)
            case "check":
                return _check(artifacts, as_json=args.json)
            case "rollback":
                version = artifacts.roll_back()
                _tell(version, f"machines boot {version} again", as_json=args.json)
            case _:
                _install(args, artifacts)
    return 0


def _install(args: argparse.Namespace, artifacts: ArtifactReach) -> None:
    terminal = Terminal()
    try:
        if args.act == "fetch":
            done = artifacts.fetch(args.source, args.tag, terminal)
        else:
            done = artifacts.install(args.path, terminal)
    finally:
        terminal.done()
    _tell(*done, as_json=args.json)


def _check(artifacts: ArtifactReach, *, as_json: bool) -> int:
    terminal = Terminal()
    try:
        found = artifacts.check(terminal)
    finally:
        terminal.done()
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        for set_id, damage in found.items():
            sys.stdout.write(f"{set_id}: {'; '.join(damage) or 'whole'}\n")
    return 1 if any(found.values()) else 0


def _list(state: Data, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(state, indent=2) + "\n")
        return
    live = state["live_environment"]
    sys.stdout.write(
        f"live environment: {live['not_ready'] or live['differs'] or live['version']}\n"
    )
    sys.stdout.write(f"for arm64: {_arm64(live)}\n")
    for stored in state["sets"]:
        sys.stdout.write(f"{_row(stored, state)}\n")
    for version in state["by_hand"]:
        sys.stdout.write(f"{version}  put into boot/ by hand\n")
    for program in state["boot_programs"]:
        place = program["place"] or "missing"
        sys.stdout.write(f"{program['name']:22} {place:8} {program['use']}\n")


def _arm64(live: Data) -> str:
    found = live["arm64"]
    return str(found["not_ready"] or found["differs"] or found["version"]) if found else "none"


def _row(stored: Data, state: Data) -> str:
    uses = {state["current"]: "current", state["previous"]: "previous"}
    use, facts = uses.get(stored["id"], "unused"), stored["facts"]
    about = signed = ""
    if facts:
        about = f"{sum(facts['sizes'].values()) / 2**20:.1f} MiB, from {facts['source']}"
        if facts["live"] != facts["version"]:
            about += f", {facts['live']}"
        signed = f", signed by {facts['signed_by']}" if facts["signed_by"] else ""
    damage = f"  DAMAGED: {'; '.join(stored['damage'])}" if stored["damage"] else ""
    return f"{stored['id']}  {use:8} {about}{signed}{damage}"


def _tell(version: str, sentence: str, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps({"version": version, "result": sentence}) + "\n")
    else:
        sys.stdout.write(f"{sentence}\n")

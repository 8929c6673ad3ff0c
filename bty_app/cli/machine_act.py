"""`machine act` and `machine undo`: one act on many machines, shown first."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
from typing import Any

from bty_app.cli.reach.machines import Data, MachineReach
from bty_app.domain.bulk_act import AS_THE_SITE, Kind
from bty_app.domain.disk_policy import Policy
from bty_app.domain.flash_options import OWN_DONES, OWN_VERIFIES, OWN_WIPES
from bty_app.domain.machine import BootMode


def configure(acts: Any) -> None:
    """The two acts among those of `machine`."""
    act = acts.add_parser("act", help="one act on many machines; without --yes it is only shown")
    chosen = act.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--mac", action="append", metavar="MAC", help="this machine; repeatable")
    chosen.add_argument(
        "--matching", metavar="QUERY", help="all that match, as in the list's address; '' is all"
    )
    kinds = [kind.value for kind in Kind if kind is not Kind.POWER]
    act.add_argument("--act", dest="what", required=True, choices=kinds, help="what is done")
    act.add_argument("--mode", choices=[mode.value for mode in BootMode], help="the boot mode")
    act.add_argument("--image", metavar="REF", help="the image's ref")
    act.add_argument("--target", choices=[policy.value for policy in Policy], help="which disk")
    act.add_argument("--label", action="append", metavar="L", help="a label; repeatable")
    act.add_argument("--expires", type=int, metavar="HOURS", help="the order counts for so long")
    wipes, verifies = (AS_THE_SITE, *OWN_WIPES), (AS_THE_SITE, *OWN_VERIFIES)
    act.add_argument("--wipe", choices=wipes, help="how disks are erased before a flash")
    act.add_argument("--verify", choices=verifies, help="whether all is read back after a flash")
    dones = (AS_THE_SITE, *OWN_DONES)
    act.add_argument("--done", choices=dones, help="when a flash is done")
    act.add_argument("--yes", action="store_true", help="do it")
    act.add_argument("--json", action="store_true", help="as JSON")
    undo = acts.add_parser("undo", help="take an act on many machines back")
    undo.add_argument("id", metavar="ID", help="the act, as it was told")
    undo.add_argument("--json", action="store_true", help="as JSON")


def act(machines: MachineReach, args: argparse.Namespace) -> None:
    """Show what it would do, or do it."""
    order = {
        "macs": args.mac,
        "matching": args.matching,
        "act": args.what,
        "boot_mode": args.mode,
        "bty_image_ref": args.image,
        "target": args.target,
        "labels": args.label,
        "expires_hours": args.expires,
        "flash_wipe": args.wipe,
        "flash_verify": args.verify,
        "flash_done": args.done,
    }
    shown = machines.preview(order)
    if args.yes:
        done = machines.confirm(secrets.token_hex(8), order, shown["digest"])
        _tell(done, as_json=args.json)
        return
    _tell(shown, as_json=args.json)
    if not args.json:
        sys.stdout.write("nothing was done: --yes does it\n")


def undo(machines: MachineReach, args: argparse.Namespace) -> None:
    """Take an act back."""
    _tell(machines.undo(args.id), as_json=args.json)


def _tell(found: Data, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(found) + "\n")
        return
    for key, value in found.items():
        if isinstance(value, list):
            for item in value:
                words = item.values() if isinstance(item, dict) else [item]
                sys.stdout.write(f"  {'  '.join(str(w) for w in words if w)}\n")
        elif isinstance(value, dict):
            for name, what in value.items():
                text = " ".join(what) if isinstance(what, list) else what
                sys.stdout.write(f"{key:12} {name}: {text}\n")
        elif value is not None:
            sys.stdout.write(f"{key:12} {value}\n")

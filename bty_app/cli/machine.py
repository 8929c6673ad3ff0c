"""`machine`: list, show, change and forget machines, one or many."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable

from bty_app.cli import machine_act, machine_wait
from bty_app.cli.reach import machines as reach
from bty_app.cli.reach.machines import Data, MachineReach, Seen
from bty_app.config import Config
from bty_app.domain.flash_options import OWN_DONES, OWN_VERIFIES, OWN_WIPES
from bty_app.domain.mac import parse_mac
from bty_app.domain.machine import BootMode
from bty_app.errors import NotFoundError, ValidationError

_EPILOG = """examples:
  bty machine list                                    one line a machine
  bty machine list --json | jq -r '.[].mac'
  bty machine show 52:54:00:12:34:56
  bty machine set 52:54:00:12:34:56 --mode bty-flash-once --image REF --serial S4X7NE0M
  bty machine set 52:54:00:12:34:56 --label rack-3 --label gpu
  bty machine assign 52:54:00:12:34:56 REF --serial S4X7NE0M --mode bty-flash-once
  bty machine mode 52:54:00:12:34:56 ipxe-exit
  bty machine label 52:54:00:12:34:56 --add gpu --remove spare
  bty machine act --matching label=rack-3 --act wake --yes
  bty machine wait 52:54:00:12:34:56 --timeout 20     until it is flashed, or in fault
  bty machine forget 52:54:00:12:34:56                record, labels and hardware

`set`, `assign` and `mode` keep what they are not told to change, and arm the machine anew: one in
mode bty-flash-once is flashed again at its next network boot. `label` arms nothing. Where somebody
else saves in the same moment, nothing is changed (75). These commands work beside a running server.
"""
_NONE = "none"
_SITE = "site"
_SET = (
    *("boot_mode", "bty_image_ref", "target_disk_serial", "sanboot_drive", "labels"),
    *("flash_wipe", "flash_verify", "flash_done"),  # where it is not as the site has it
)


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EPILOG
    acts = parser.add_subparsers(dest="act", metavar="ACT", required=True)
    listing = acts.add_parser("list", help="all machines, in the order of their MACs")
    showing = acts.add_parser("show", help="one machine")
    setting = acts.add_parser("set", help="change a machine, or make a record; arms it anew")
    assigning = acts.add_parser("assign", help="give a machine an image; arms it anew")
    moding = acts.add_parser("mode", help="give a machine another boot mode; arms it anew")
    labelling = acts.add_parser("label", help="add and remove labels; arms nothing")
    forgetting = acts.add_parser("forget", help="delete a record with its labels and hardware")
    machine_act.configure(acts)
    machine_wait.configure(acts)
    for act in (showing, setting, assigning, moding, labelling, forgetting):
        act.add_argument("mac", metavar="MAC", help="the machine, in any spelling of its MAC")
    for act in (listing, showing, setting, assigning, moding, labelling):
        act.add_argument("--json", action="store_true", help="as JSON")
    modes = [mode.value for mode in BootMode]
    assigning.add_argument("image", metavar="REF", help="the image's ref; 'none' unbinds it")
    moding.add_argument("mode", metavar="MODE", choices=modes, help=f"one of {', '.join(modes)}")
    labelling.add_argument("--add", action="append", default=[], metavar="L", help="repeatable")
    labelling.add_argument("--remove", action="append", default=[], metavar="L", help="repeatable")
    for act in (setting, assigning):
        act.add_argument("--mode", choices=modes, help="the boot mode")
        act.add_argument("--serial", metavar="S", help="the target disk's serial, or 'none'")
        act.add_argument(
            "--wipe",
            choices=(_SITE, *OWN_WIPES),
            help="how its disk is erased before; 'site': as the settings have it",
        )
        act.add_argument(
            "--verify",
            choices=(_SITE, *OWN_VERIFIES),
            help="whether all is read back after; 'site': as the settings have it",
        )
        act.add_argument(
            "--done",
            choices=(_SITE, *OWN_DONES),
            help="done when written, or when its system is up; 'site': as the settings have it",
        )
    setting.add_argument("--image", metavar="REF", help="the image's ref; 'none' unbinds it")
    setting.add_argument("--drive", metavar="0xNN", help="the drive that iPXE boots, or 'none'")
    setting.add_argument(
        "--label", action="append", metavar="L", help="in place of all labels; repeatable"
    )
    setting.add_argument("--no-labels", action="store_true", help="take all labels away")


def run(args: argparse.Namespace, config: Config) -> int:
    """Do the act; the exit status is 0."""
    acts: dict[str, Callable[[MachineReach, argparse.Namespace], None]] = {
        "list": _list,
        "show": _show,
        "set": _set,
        "assign": _assign,
        "mode": _mode,
        "label": _label,
        "forget": _forget,
        "act": machine_act.act,
        "undo": machine_act.undo,
        "wait": machine_wait.wait,
    }
    with reach.machines(args, config) as machines:
        acts[args.act](machines, args)
    return 0


def _list(machines: MachineReach, args: argparse.Namespace) -> None:
    if args.json:
        before = "["
        for data in machines.every():
            sys.stdout.write(f"{before}{json.dumps(data)}")
            before = ",\n "
        sys.stdout.write("[]\n" if before == "[" else "]\n")
        return
    for data in machines.every():
        columns = (
            data["mac"],
            data["boot_mode"],
            data["phase"],
            data["last_seen_ip"] or "-",
            ",".join(data["labels"]) or "-",
        )
        sys.stdout.write("  ".join(columns) + "\n")


def _show(machines: MachineReach, args: argparse.Namespace) -> None:
    _tell(machines.get(parse_mac(args.mac)).data, as_one_value=args.json)


def _set(machines: MachineReach, args: argparse.Namespace) -> None:
    mac = parse_mac(args.mac)
    try:
        seen = machines.get(mac)
    except NotFoundError:
        _tell(machines.save(mac, _changes(args), None), as_one_value=args.json)
        return
    _save(machines, seen, _changes(args), args)


def _assign(machines: MachineReach, args: argparse.Namespace) -> None:
    given = {
        "bty_image_ref": args.image,
        "target_disk_serial": args.serial,
        "boot_mode": args.mode,
    }
    changes = _given(given) | _own(args)
    _save(machines, machines.get(parse_mac(args.mac)), changes, args)


def _mode(machines: MachineReach, args: argparse.Namespace) -> None:
    _save(machines, machines.get(parse_mac(args.mac)), {"boot_mode": args.mode}, args)


def _label(machines: MachineReach, args: argparse.Namespace) -> None:
    if not args.add and not args.remove:
        raise ValidationError("--add or --remove: name a label")
    seen = machines.get(parse_mac(args.mac))
    present = seen.data["labels"]
    labels = sorted((set(present) - set(args.remove)) | set(args.add))
    if labels == sorted(present):  # saving what is so already would arm the machine
        _tell(seen.data, as_one_value=args.json)
        return
    _save(machines, seen, {"labels": labels}, args)


def _save(
    machines: MachineReach, seen: Seen, changes: dict[str, object], args: argparse.Namespace
) -> None:
    """Change that of what is set, unless it is set otherwise by now."""
    present = {name: seen.data[name] for name in _SET if name in seen.data}
    _tell(machines.save(seen.data["mac"], present | changes, seen), as_one_value=args.json)


def _changes(args: argparse.Namespace) -> dict[str, object]:
    given = {
        "boot_mode": args.mode,
        "bty_image_ref": args.image,
        "target_disk_serial": args.serial,
        "sanboot_drive": args.drive,
        "labels": [] if args.no_labels else args.label,
    }
    if args.no_labels and args.label:
        raise ValidationError("--label and --no-labels: choose one")
    if not (changes := _given(given) | _own(args)):
        raise ValidationError("nothing to set: see 'bty machine set --help'")
    return changes


def _own(args: argparse.Namespace) -> dict[str, object]:
    """What is said of a flash of this machine; `site` as null."""
    said = {"flash_wipe": args.wipe, "flash_verify": args.verify, "flash_done": args.done}
    return {key: None if word == _SITE else word for key, word in said.items() if word}


def _given(words: dict[str, object]) -> dict[str, object]:
    """What was said, `none` as null."""
    said = {key: value for key, value in words.items() if value is not None}
    return {key: None if value == _NONE else value for key, value in said.items()}


def _forget(machines: MachineReach, args: argparse.Namespace) -> None:
    mac = parse_mac(args.mac)
    machines.forget(mac)
    sys.stdout.write(f"{mac} is forgotten\n")


def _tell(data: Data, *, as_one_value: bool) -> None:
    if as_one_value:
        sys.stdout.write(json.dumps(data) + "\n")
        return
    for key, value in data.items():
        text = value if isinstance(value, str) else json.dumps(value)
        sys.stdout.write(f"{key:20} {text if value not in (None, []) else '-'}\n")

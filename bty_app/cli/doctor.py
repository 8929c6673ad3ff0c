"""`doctor`: look at the installation as an expert would."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys

from bty_app import __version__, runtime_parts
from bty_app.cli.live_state import live_database
from bty_app.config import Config
from bty_app.domain.findings import Finding, as_data, worst
from bty_app.domain.moments import stamp
from bty_app.errors import BtyError, StorageError
from bty_app.logs import one_line
from bty_app.netboot.dhcp.probe import ask_lan
from bty_app.services.clock import utc_now
from bty_app.services.doctor import Doctor
from bty_app.services.revisions import Revisions

_EPILOG = """examples:
  bty doctor                       what is wrong, and what to do about it
  bty doctor --deep                also read every netboot artifact, and ask the LAN's DHCP
  bty doctor --json | jq -r '.findings[] | select(.level == "fault") | .sentence'

Works beside a running server and without one, and changes nothing. Other hosts are asked with a
short time-out; --deep sends one DHCPDISCOVER on each network, which takes root and no lease.
The exit status is 0 when nothing is worse than a note, else 1.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "--deep",
        action="store_true",
        help="compare every netboot artifact with its digest, and ask what DHCP hands out",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help='print {"version", "level", "looked_at", "findings": [{"check", "level", "sentence",'
        ' "remedy"}]}',
    )


def run(args: argparse.Namespace, config: Config) -> int:
    """Print the findings; the exit status is 0 when nothing is worse than a note."""
    with contextlib.ExitStack() as stack:
        findings = _doctor(config, stack, deep=args.deep).findings()
    sys.stdout.write(_as_json(findings) if args.json else _as_text(findings))
    return 1 if worst(findings).needs_an_act else 0


def _doctor(config: Config, stack: contextlib.ExitStack, *, deep: bool) -> Doctor:
    """A database that cannot be opened is a finding, and no end."""
    network = runtime_parts.listens(
        config, http_port=config.server.port, ask_lan=ask_lan if deep else None
    )
    try:
        database = stack.enter_context(live_database(config.paths.state_dir))
    except BtyError as error:
        return runtime_parts.doctor(config, None, unopened=error, deep=deep, network=network)
    except OSError as error:
        unopened = StorageError(f"{error.filename} cannot be read: {error.strerror}")
        return runtime_parts.doctor(config, None, unopened=unopened, deep=deep, network=network)
    setting = runtime_parts.settings_of(config, database, Revisions()).text
    return runtime_parts.doctor(config, database, setting, deep=deep, network=network)


def _as_text(findings: list[Finding]) -> str:
    width = max(len(finding.check) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{finding.level:7}  {finding.check:{width}}  {one_line(finding.sentence)}\n")
        if finding.remedy:
            lines.append(f"{'':9}{'':{width}}  to do: {one_line(finding.remedy)}\n")
    return "".join(lines)


def _as_json(findings: list[Finding]) -> str:
    told = as_data(findings, version=__version__, at=stamp(utc_now()))
    return json.dumps(told, indent=2) + "\n"

"""`upgrade`: bring what runs here to a newer release, and back where that does not become ready."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from bty_app import __version__
from bty_app.config import Config
from bty_app.deploy import stacks, upgrade_journal, upgrade_plan
from bty_app.deploy.host_files import HostFiles
from bty_app.deploy.own_file import own_file
from bty_app.deploy.upgrade import WATCH_SECONDS, Report, Upgrade, by_hand
from bty_app.domain.upgrade_events import Tale, tale_of
from bty_app.domain.upgrading import End
from bty_app.errors import InvalidInputError, NotFoundError
from bty_app.logs import one_line

STRANDED = 70
_EPILOG = f"""examples:
  sudo python3 bty.pyz upgrade /usr/local/lib/bty             a host: to the program that runs this
  bty upgrade --pyz dist/bty.pyz /usr/local/lib/bty           to that file
  bty upgrade --dry-run /srv/bty                              what would be done, and its sizes
  bty upgrade /srv/bty                                        containers: to the release that runs

DIR is where bty was installed or deployed: a directory with bty.pyz, or one with compose.yml and
envvars. In this order: the new release is fetched, a backup is taken while the old one serves, the
new one rehearses its first start on that backup; until here nothing was changed, and what fails
ends it. Then bty is stopped, the new release installed and started. When it is ready it is watched
for a while. Where it does not become ready, ends, or is not ready any more, it is stopped, the
database from before and the old release take their places again, and that is started.

A terminal that goes away does not stop it. Run it again after whatever did: it goes on, or back.
After an upgrade bty runs, also where it was stopped before. What machines boot, in boot/, stays as
it is: `bty artifacts fetch`.

exit status: 0 the new release is ready, or was there already; 1 nothing was changed, or the old
  release is back with its data; {STRANDED} it is not back, either: the last line says what to do
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "directory",
        nargs="?",
        type=Path,
        default=Path("bty-host"),
        metavar="DIR",
        help="where bty was installed or deployed (./bty-host)",
    )
    parser.add_argument(
        "--pyz", type=Path, metavar="FILE", help="on a host: the new release (this program)"
    )
    parser.add_argument(
        "--watch",
        type=_seconds,
        default=WATCH_SECONDS,
        metavar="SECONDS",
        help=f"how long it must stay ready ({WATCH_SECONDS:.0f})",
    )
    parser.add_argument(
        "--wait",
        type=_seconds,
        metavar="SECONDS",
        help="how long it may take until it is ready (a minute, and more for a large database)",
    )
    parser.add_argument(
        "--service", default="bty", metavar="UNIT", help="on a host: its unit (bty)"
    )
    parser.add_argument(
        "--url", default="", metavar="URL", help="on a host: where it answers (as configured)"
    )
    # A word of the original's: where the data are is in `envvars`.
    parser.add_argument("--data-dir", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    # For the release that is upgraded: it runs the new one's.
    parser.add_argument("--look", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--tell", type=_tale, help=argparse.SUPPRESS)


def run(args: argparse.Namespace, config: Config) -> int:
    """Do it, or say what would be done; the exit status says how it came out."""
    if args.look:
        from bty_app.cli import looking  # it alone needs the database

        sys.stdout.write(json.dumps(looking.look(config).as_data()) + "\n")
        return 0
    if args.tell:
        from bty_app.services import upgrade_tale

        upgrade_tale.tell(config.paths.state_dir, args.tell)
        return 0
    directory = args.directory.absolute()
    if not directory.is_dir():
        raise NotFoundError(f"{directory}: there is no such directory")
    offered = _offered(args.pyz, directory)
    wanted = stacks.Wanted(
        state_dir=config.paths.state_dir,
        url=args.url or _url(config),
        service=args.service,
        offered=offered,
    )
    stack = stacks.of(directory, wanted)
    version = HostFiles(directory).version_of(offered) if offered else __version__
    if args.dry_run:
        if going := upgrade_journal.read(directory):
            _tell(f"the upgrade to {going.new.version} that was cut off would be finished first")
        sys.stdout.writelines(
            f"{line}\n" for line in upgrade_plan.planned(stack, version, args.watch)
        )
        return 0
    waits = {"watch_seconds": args.watch, "wait_seconds": args.wait}
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a line that breaks must not leave bty stopped
    try:
        report = Upgrade(stack, directory, _tell, **waits).run(version)
    except KeyboardInterrupt:
        if upgrade_journal.read(directory):
            _tell("it was cut off: run the same command again, it goes on or goes back")
        raise
    _say(args, report)
    return {End.DONE: 0, End.STRANDED: STRANDED}.get(report.end, 0 if report.is_same else 1)


def _offered(given: Path | None, directory: Path) -> Path | None:
    """The file of the newer release; None where the directory is none of a host."""
    if not stacks.is_host(directory):
        if given is not None:
            raise InvalidInputError(f"{directory}: has no bty.pyz: --pyz is for hosts")
        return None
    found = given.absolute() if given else own_file()
    if found is None:
        raise InvalidInputError("--pyz FILE: say which file is the new release")
    return found


def _url(config: Config) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.server.host, config.server.host)  # noqa: S104
    return f"http://{f'[{host}]' if ':' in host else host}:{config.server.port}"


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds up to 3600")
    return value


def _tale(text: str) -> Tale:
    try:
        return tale_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError("it tells of no upgrade") from error


def _tell(words: str) -> None:
    with contextlib.suppress(OSError):  # the terminal is gone: it goes on
        sys.stderr.write(f"{words}\n")
        sys.stderr.flush()


def _say(args: argparse.Namespace, report: Report) -> None:
    if report.said and report.end is not End.DONE:
        lines = (f"\n  {one_line(line)}" for line in report.said.splitlines())
        _tell(f"its last lines:{''.join(lines)}")
    if args.json:
        sys.stdout.write(json.dumps({**asdict(report), "end": report.end.value}) + "\n")
    else:
        sys.stdout.write(_sentence(report) + "\n")


def _sentence(report: Report) -> str:
    old, new = report.old.version, report.new.version
    if report.is_same:
        return f"bty {old} is installed already: there is nothing to do"
    untold = f"; the audit log could not be told: {report.problem}" if report.problem else ""
    match report.end:
        case End.DONE:
            return (
                f"bty {new} is ready, in place of {old}; the backup from before is {report.backup}."
                f" Next: `bty artifacts fetch`, and review the note about the archive{untold}"
            )
        case End.UNCHANGED:
            return f"nothing was changed, and bty {old} is what is installed: {report.why}"
        case End.WENT_BACK:
            acts = f"; {report.acts} acts of operators stayed in its archive" if report.acts else ""
            return f"bty {old} is back with its data: bty {new}: {report.why}{acts}{untold}"
        case End.STRANDED:
            return f"bty {new}: {report.why}; on the way back: {report.problem}. {by_hand(report)}"

"""Finds the command in the table, loads the configuration, turns errors into exit codes.

A command is a module of `bty_app.cli`, imported only when it is named, with two functions:

    def configure(parser: argparse.ArgumentParser) -> None
        Adds the command's arguments. `parser` comes with its `prog`, the table's help line as
        `description`, a raw-text formatter and the options of every command; the command sets
        `parser.epilog` to its examples. A flag that sets a configuration key is added with
        `options.add_config_flag(parser, "server.port")`.

    def run(args: argparse.Namespace, config: Config) -> int
        Does the work and returns the exit status. Results go to stdout (with `--json`, one JSON
        value and nothing else), everything else to stderr. A failure is a raised `BtyError`:
        here it becomes one line on stderr and the exit status of its class.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import logging
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn, Protocol, cast

from bty_app import __version__, config_sources, errors, logs, native
from bty_app.cli import elsewhere, options
from bty_app.cli.table import COMMANDS, Command
from bty_app.config import Config, did_you_mean


class CommandModule(Protocol):
    """What a module named in `COMMANDS` has."""

    def configure(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace, config: Config) -> int: ...


__all__ = ["COMMANDS", "EXIT_CODES", "Command", "entry", "exit_code", "main"]

# Most specific class first: the first row that fits is taken.
INTERRUPTED = 130
EXIT_CODES: tuple[tuple[type[errors.BtyError], int], ...] = (
    (errors.CancelledError, INTERRUPTED),
    (elsewhere.HereOnlyError, 2),
    (errors.FlashRaceError, 75),
    (errors.FlashRefusedError, 73),
    (errors.FlashIntegrityError, 65),
    (errors.FlashWriteError, 74),
    (errors.ConfigError, 78),
    (errors.NotAuthenticatedError, 77),
    (errors.NotAllowedError, 77),
    (errors.ConflictError, 75),
    (errors.StorageError, 74),
    (errors.UnavailableError, 69),
    (errors.NotFoundError, 66),
    (errors.InvalidInputError, 65),
    (errors.TooLargeError, 65),
)
USAGE = 2

_ABOUT = "Takes a rack of bare metal from power-on to a flashed, running system."
_EXAMPLES = """examples:
  %(prog)s serve                      start the server with its defaults
  %(prog)s serve --help               the manual of one command
  %(prog)s --config my.toml show-config
  %(prog)s export /srv/bundle         keep the hardware identity of all machines
  %(prog)s --at https://boot.example.com machine list  on a server elsewhere (BTY_TOKEN)
  %(prog)s --server URL --mac MAC     as flash --server URL --mac MAC: do what a server wants

exit status: 0 done, 1 failed, 2 wrong usage, 65 bad input, 66 not found, 69 network down,
  73 this disk or image must not be used, 74 disk full or broken, 75 busy, locked or changed
  meanwhile, 77 not allowed, 78 bad configuration, 130 interrupted
"""
_PROGRAMS = ("bty", "bty-web", "bty-lab")
# The original's `bty-web` without a word is its server (CONTRACT 2.1).
_SERVES_WITHOUT_A_WORD = "bty-web"
# And its `bty` has no commands at all (CONTRACT 2.2, 5.1).
_MEANS_FLASH = frozenset({"--server", "--mac"})
_MEANS_WIZARD = "--catalog"

_log = logging.getLogger(__name__)


def entry() -> NoReturn:
    """The installed commands and the single file start here."""
    if os.getpid() == 1:
        # The first process of a container has no default action: it could not be stopped until
        # the server has set its own.
        signal.signal(signal.SIGTERM, _stopped)
    called = Path(sys.argv[0]).name
    sys.exit(main(sys.argv[1:], program=called if called in _PROGRAMS else "bty"))


def main(argv: Sequence[str], *, program: str = "bty") -> int:
    """Run the command that `argv` names; what comes back is the exit status."""
    os.umask(0o077)
    try:
        status = _run(argv, program)
        sys.stdout.flush()
    except errors.BtyError as error:
        _say(error.message)
        return exit_code(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return 1
    except SystemExit as stop:  # argparse: help, version, or a usage error
        return stop.code if isinstance(stop.code, int) else USAGE
    except Exception as error:  # noqa: BLE001  the last edge: one line in place of a traceback
        return _unexpected(error, debug="--debug" in argv or bool(os.environ.get("BTY_DEBUG")))
    return status


def _stopped(number: int, _frame: FrameType | None) -> NoReturn:
    """End at once, as any other process does on this signal: what is on disk stands that."""
    os._exit(128 + number)


def exit_code(error: errors.BtyError) -> int:
    """The exit status that stands for this class of failure (see `EXIT_CODES`)."""
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1)


def _run(argv: Sequence[str], program: str) -> int:
    top = _top_parser(program)
    arguments = top.parse_args(_with_command(argv) if program == "bty" else argv)
    words: list[str] | None = vars(arguments).pop("words")
    if not words and program == _SERVES_WITHOUT_A_WORD:
        words = ["serve"]
    if not words:
        top.print_help(sys.stderr)
        return USAGE
    name, *rest = words
    command = COMMANDS.get(name)
    if command is None:
        top.error(f"there is no command {name!r}{did_you_mean(name, COMMANDS)}")
    module = cast("CommandModule", importlib.import_module(command.module))
    parser = _command_parser(f"{program} {name}", command)
    module.configure(parser)
    # The namespace goes on: an option counts before the command as it does after.
    arguments = parser.parse_args(rest, namespace=arguments)
    _check_place(name, command, arguments)
    return module.run(arguments, _configured(arguments, command))


def _check_place(name: str, command: Command, arguments: argparse.Namespace) -> None:
    """Refuse a server elsewhere where the command cannot reach one. The environment says it for
    all commands: those that are for no state at all pass it over.
    """
    if command.over_http:
        return
    if arguments.elsewhere_at or (command.instead and elsewhere.chosen(arguments)):
        raise elsewhere.HereOnlyError(
            f"{name} is for this host alone, and not for {elsewhere.chosen(arguments)}"
            f"{f': {command.instead}' if command.instead else ''}; without --at and"
            f" {elsewhere.AT} it works here"
        )


def _with_command(argv: Sequence[str]) -> Sequence[str]:
    """The same, with the command that the original's options stand for: `--server` and `--mac` do
    what a server wants, `--catalog` without them opens the wizard.
    """
    before = list(itertools.takewhile(lambda word: word not in COMMANDS, argv))
    names = [word.partition("=")[0] for word in before]
    if _MEANS_FLASH.intersection(names):
        return ["flash", *argv]
    return ["wizard", *argv] if _MEANS_WIZARD in names else argv


def _configured(arguments: argparse.Namespace, command: Command) -> Config:
    config = config_sources.load(
        environment=os.environ,
        files=arguments.config,
        flags=options.flag_values(arguments),
    )
    native.use_state_dir(config.paths.state_dir)
    level = "debug" if arguments.debug else config.log.level if command.serves else "warning"
    logs.setup(config.log.format, level, sys.stderr, behind=command.serves)
    if not command.serves:  # the server says them itself, in the first lines of its output
        away = command.over_http and elsewhere.chosen(arguments)
        for note in (config.state_dir_note, *config.notes):
            if note and not away:
                logs.event(_log, logging.WARNING, "config", note=note)
    return config


def _top_parser(program: str) -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:{width}}  {command.help}" for name, command in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog=program,
        usage="%(prog)s [option ...] <command> [argument ...]",
        description=f"{_ABOUT}\n\ncommands:\n{listed}",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{program} {__version__}")
    options.add_global_options(parser)
    elsewhere.add_options(parser)
    words = parser.add_argument("words", nargs=argparse.PARSER, help=argparse.SUPPRESS)
    words.required = False  # no command at all shows the help
    return parser


def _command_parser(program: str, command: Command) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description=command.help[:1].upper() + command.help[1:] + ".",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        # Its own --token-file takes the place of one that it would only refuse.
        conflict_handler="error" if command.over_http else "resolve",
    )
    options.add_global_options(parser)
    elsewhere.add_options(parser, shown=command.over_http)
    return parser


def _say(sentence: str) -> None:
    """One line on stderr, whatever is in the sentence."""
    sys.stderr.write(f"bty: {logs.one_line(sentence)}\n")


def _unexpected(error: Exception, *, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    hint = "" if debug else " (run again with --debug to see where)"
    _say(f"unexpected failure: {type(error).__name__}: {error}{hint}")
    return 1


def _forget_stdout() -> None:
    """The reader has left; without this the interpreter complains of it once more at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)

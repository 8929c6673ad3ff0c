"""The manual of every command, from its own parser."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator, Sequence

from bty_app.cli.main import EXIT_CODES, INTERRUPTED, USAGE
from bty_app.cli.options import add_global_options
from bty_app.cli.table import COMMANDS, Command
from tests.docs.tables import code, sentence, table

_SKIPPED = ("help",)


def manual() -> str:
    """All commands."""
    parts = [_options(_parser_with_global_options(), "### Options of every command")]
    parts += [_command(name, row) for name, row in COMMANDS.items()]
    return "\n".join(parts)


def exit_codes() -> str:
    """What each exit status means."""
    rows = [(str(status), sentence(kind.__doc__)) for kind, status in EXIT_CODES]
    ours = [
        ("0", "Done."),
        ("1", "Failed; or `verify`, `doctor` or a check found something wrong."),
        (str(USAGE), "Wrong usage: an unknown command or flag, or a flag with a bad value."),
    ]
    ends = [(str(INTERRUPTED), "Interrupted with ^C.")]
    every = sorted([*ours, *rows, *ends], key=lambda row: int(row[0]))
    return table(("status", "meaning"), *_joined(every))


def _joined(rows: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for status in dict(rows):
        yield status, " ".join(text for number, text in rows if number == status)


def _parser_with_global_options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    add_global_options(parser)
    return parser


def _command(name: str, command: Command) -> str:
    parser = argparse.ArgumentParser()
    importlib.import_module(command.module).configure(parser)
    help_line = command.help[:1].upper() + command.help[1:]
    parts = [_options(parser, f"### {name}\n\n{help_line}.")]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            parts += [
                _options(sub, f"#### {name} {act}\n\n{helps[act][:1].upper()}{helps[act][1:]}.")
                for act, sub in action.choices.items()
            ]
    if parser.epilog:
        parts.append(f"```text\n{parser.epilog.strip()}\n```\n")
    return "\n".join(parts)


def _options(parser: argparse.ArgumentParser, head: str) -> str:
    rows = [_row(action) for action in parser._actions if _is_shown(action)]
    return f"{head}\n" + ("\n" + table(("argument", "meaning"), *rows) if rows else "")


def _is_shown(action: argparse.Action) -> bool:
    is_hidden = action.dest in _SKIPPED or action.help == argparse.SUPPRESS
    return not is_hidden and not isinstance(action, argparse._SubParsersAction)


def _row(action: argparse.Action) -> tuple[str, str]:
    value = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if action.choices is not None:
        value = "|".join(map(str, action.choices))
    takes_value = action.nargs != 0
    names = " ".join(filter(None, (", ".join(action.option_strings), value if takes_value else "")))
    return code(names), (action.help or "-").replace("%%", "%")

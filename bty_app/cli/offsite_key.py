"""`offsite key`: the key that copies are encrypted with."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bty_app.domain.sealing import Key, parse_key
from bty_app.errors import CancelledError, ConflictError, InvalidInputError
from bty_app.store.sealed import read_key, rehearse, write_key

_TRIES = 3
_KEY_BYTES = 32


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of its acts."""
    acts = parser.add_subparsers(dest="key_act", required=True, metavar="create|enter|check")
    creating = acts.add_parser("create", help="make a key, show it once, and try it")
    creating.add_argument(
        "--yes", action="store_true", help="do not ask to type the key back: it is kept elsewhere"
    )
    entering = acts.add_parser("enter", help="type a key that was kept elsewhere into a new file")
    checking = acts.add_parser("check", help="see that the key of a file works, and name it")
    for act in (creating, entering, checking):
        act.add_argument("file", type=Path, metavar="FILE", help="the file of the key")


def run(args: argparse.Namespace) -> int:
    """Do one act; the exit status is 0."""
    match args.key_act:
        case "create":
            _create(args.file, is_kept=args.yes)
        case "enter":
            _free(args.file)
            _say(write_key(args.file, _typed("key: ")), args.file)
        case _:
            key = read_key(args.file)
            rehearse(key)
            _say(key, args.file)
    return 0


def _create(file: Path, *, is_kept: bool) -> None:
    _free(file)
    key = Key(os.urandom(_KEY_BYTES))
    rehearse(key)
    sys.stdout.write(f"{key.text}\n")
    sys.stdout.flush()
    sys.stderr.write(
        f"This is the key {key.id}. Keep it elsewhere, on paper or in a password safe: without it,"
        " no copy can be read, by anybody.\n"
    )
    if not is_kept:
        _type_back(key)
    _say(write_key(file, key), file)


def _type_back(key: Key) -> None:
    for _try in range(_TRIES):
        try:
            if _typed("Type it back: ") == key:
                return
        except InvalidInputError as error:
            sys.stderr.write(f"{error.message}\n")
        else:
            sys.stderr.write("that is another key\n")
    raise CancelledError("the key was not typed back: no key was made")


def _typed(prompt: str) -> Key:
    sys.stderr.write(prompt)
    sys.stderr.flush()
    line = sys.stdin.readline(4096)
    if not line:
        raise CancelledError("no key was typed: nothing was written")
    return parse_key(line)


def _free(file: Path) -> None:
    if os.path.lexists(file):
        raise ConflictError(f"{file}: is there already, and is left as it is")


def _say(key: Key, file: Path) -> None:
    sys.stderr.write(
        f"{file}: the key {key.id}; a sample was encrypted and decrypted. Set offsite.key_file to"
        " use it.\n"
    )

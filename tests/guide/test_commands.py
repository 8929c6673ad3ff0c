"""Commands that the program names, on its pages and in its sentences, are commands that it has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import bty_app
from bty_app.cli.main import COMMANDS

APP = Path(bty_app.__file__).parent
# `bty word` within backticks or <code>, as sentences and pages show a command.
NAMED = re.compile(
    r"(?:`|<code[^>]*>)\s*(?:sudo )?(?:bty|bty-web|bty-lab|bty\.pyz) ([a-z][a-z-]*)\b(?!…)"
)
PLACES = ("web/templates/**/*.html", "**/*.py")


def named() -> Iterator[tuple[str, str]]:
    """File and command."""
    for pattern in PLACES:
        for path in sorted(APP.glob(pattern)):
            for word in NAMED.findall(path.read_text("utf-8")):
                yield path.relative_to(APP).as_posix(), word


def test_there_are_such_places() -> None:
    assert len(set(named())) > 20


@pytest.mark.parametrize(("place", "word"), sorted(set(named())))
def test_a_command_that_the_program_speaks_of_is_one_of_its_own(place: str, word: str) -> None:
    assert word in COMMANDS, place

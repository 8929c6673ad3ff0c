"""The tables of this folder lead to tests and pages that there are."""

from __future__ import annotations

import ast
import os
import re
from functools import cache
from pathlib import Path

import pytest

from bty_app.errors import FlashIntegrityError
from tests.docs.pages import DOCS
from tests.guide.operations import NO_STATEMENT, STATEMENTS, Said
from tests.guide.pitfalls import CLAUSES, Clause
from tests.guide.promises import PROMISES, Promise
from tests.how_to.test_pages import WALKS

TESTS = Path(__file__).parents[1]
DIFFERENCES = (DOCS / "reference" / "differences.md").read_text("utf-8")
GUIDE = "BTY_OPERATIONS_GUIDE"  # names the text of the guide, which is not part of this project


@cache
def functions(file: str) -> frozenset[str]:
    """The tests of a file."""
    tree = ast.parse((TESTS / file).read_text("utf-8"))
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


def is_there(test: str) -> bool:
    """Whether there is a test of this name: file::function, or a walk of a page in brackets."""
    file, _, name = test.partition("::")
    name, _, walk = name.partition("[")
    if not (TESTS / file).is_file() or name not in functions(file):
        return False
    wanted = walk.removesuffix("]")
    return not wanted or any(
        found.id == wanted or (not walk.endswith("]") and found.id.startswith(wanted))
        for found in WALKS
    )


@pytest.mark.parametrize("said", STATEMENTS, ids=lambda said: said.words[:40])
def test_a_statement_of_the_guide_is_shown_by_tests_that_there_are(said: Said) -> None:
    assert said.shown
    for test in said.shown:
        assert is_there(test), test


@pytest.mark.parametrize(
    "said", [said for said in STATEMENTS if said.differs], ids=lambda said: said.words[:40]
)
def test_what_differs_is_said_in_the_reference(said: Said) -> None:
    assert f"| {said.differs}" in DIFFERENCES


@pytest.mark.parametrize("clause", CLAUSES, ids=lambda row: f"{row.pitfall}: {row.clause[:40]}")
def test_a_clause_of_a_pitfall_is_shown_by_tests_that_there_are(clause: Clause) -> None:
    for test in clause.shown:
        assert is_there(test), test


@pytest.mark.parametrize("promise", PROMISES, ids=lambda row: f"{row.what}: {row.sentence[:40]}")
def test_a_promise_is_shown_by_tests_that_there_are(promise: Promise) -> None:
    assert promise.shown
    for test in promise.shown:
        assert is_there(test), test


def test_no_line_of_the_guide_is_passed_over() -> None:
    if GUIDE not in os.environ:
        pytest.skip(f"{GUIDE} NAMES NO FILE: THE TEXT OF THE GUIDE IS NOT PART OF THIS PROJECT")
    text = Path(os.environ[GUIDE]).read_text("utf-8")
    lines = [line.strip() for line in text.splitlines() if line.strip()]

    for said in STATEMENTS:
        assert any(said.words.casefold() in line.casefold() for line in lines), said.words
    for line in lines:
        assert line.startswith(NO_STATEMENT) or any(
            said.words.casefold() in line.casefold() for said in STATEMENTS
        ), line


def test_an_integrity_mismatch_has_the_guides_name() -> None:
    """A reader of the guide finds it in the code, and on the page that says what to do."""
    page = (DOCS / "how-to" / "recover-a-failed-flash.md").read_text("utf-8")

    assert FlashIntegrityError.__name__ == "FlashIntegrityError"
    assert "`FlashIntegrityError`" in page


def test_every_section_of_the_guide_has_a_place_here() -> None:
    page = (DOCS / "how-to" / "where-the-operations-guide-went.md").read_text("utf-8")

    assert len(re.findall(r"^\| .* \| .*\]\(|^\| .* \| nothing to do", page, re.MULTILINE)) >= len(
        {said.section for said in STATEMENTS}
    )

"""Every row of the failure matrix has tests, and they are real ones."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.failure_matrix import ROWS

ROOT = Path(__file__).parents[1]
NAMED = sorted({(file, name) for row in ROWS for file in row.tests for name in row.tests[file]})


@pytest.fixture(scope="module")
def collected() -> set[tuple[str, str]]:
    """What pytest would run of the files that the matrix names."""
    files = sorted({file for file, _name in NAMED})
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    found = (line.split("::") for line in done.stdout.splitlines() if "::" in line)
    return {(parts[0], parts[-1].partition("[")[0]) for parts in found}


def function(file: str, name: str) -> ast.FunctionDef:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return next(node for node in found if node.name == name)


def test_every_test_of_the_matrix_is_collected(collected: set[tuple[str, str]]) -> None:
    assert [name for name in NAMED if name not in collected] == []


def test_each_of_them_asserts_something_and_is_not_skipped() -> None:
    wrong = []
    for file, name in NAMED:
        node = function(file, name)
        decorators = " ".join(ast.unparse(decorator) for decorator in node.decorator_list)
        calls = {ast.unparse(call.func) for call in ast.walk(node) if isinstance(call, ast.Call)}
        asserts = any(isinstance(part, ast.Assert) for part in ast.walk(node))
        if "skip" in decorators or "xfail" in decorators or {"pytest.skip", "pytest.xfail"} & calls:
            wrong.append((file, name, "is skipped"))
        if not asserts and not {"pytest.raises", "serves", "refusal"} & calls:
            wrong.append((file, name, "asserts nothing"))
    assert wrong == []


def test_what_nothing_proves_is_said() -> None:
    for row in ROWS:
        assert bool(row.tests) != bool(row.missing), row.fault
        assert all(row.tests.values()), row.fault


def test_no_row_stands_twice() -> None:
    faults = [row.fault for row in ROWS]

    assert len(faults) == len(set(faults)) == 16
